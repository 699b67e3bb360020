//! Bodies on their way into a bucket: small ones in one request, large ones in parts, one at a time.

use futures_util::StreamExt;
use futures_util::stream;
use opendal::options::WriteOptions;
use opendal::{Buffer, Writer};

use super::super::body::Meter;
use super::super::place::Place;
use super::super::{Body, MailboxErrorKind as K, MailboxResult};
use super::bucket::{Bucket, Condition, Put};
use super::fault::Fault;
use super::transport::{Exchange, escaped};

/// Bodies up to this size go in one request; larger ones in parts of it. Two parts are held in memory.
const PART: u64 = 8 * 1024 * 1024;
/// So many parts make the largest body; greater bodies have greater parts.
const PARTS_MAX: u64 = 10_000;

/// How large the parts of a body are: whole MiB, and not too many.
fn part_size(len: u64) -> u64 {
    const MIB: u64 = 1024 * 1024;
    len.div_ceil(PARTS_MAX).div_ceil(MIB).saturating_mul(MIB).max(PART)
}

impl Bucket {
    /// Whether the platform carries a stream of this length: it does so part by part.
    pub(super) fn carries(&self, len: u64) -> bool {
        len > part_size(len) && self.service.http.carries(len)
    }

    /// Stores a body, whatever its size. Nothing is to be seen before it is whole.
    pub(super) async fn upload(
        &self,
        place: &Place,
        body: Body,
        condition: Option<Condition<'_>>,
    ) -> MailboxResult<Put> {
        self.upload_to(place, &self.key(place), body, condition).await
    }

    pub(super) async fn upload_to(
        &self,
        place: &Place,
        key: &str,
        body: Body,
        condition: Option<Condition<'_>>,
    ) -> MailboxResult<Put> {
        let (operator, exchange) = self.operator(place);
        let options = WriteOptions {
            chunk: usize::try_from(part_size(body.len())).ok(),
            concurrent: 1,
            ..Condition::options(condition)
        };
        let writer = operator.writer_options(&escaped(key), options).await;
        let mut writer = writer.map_err(|error| exchange.fault(error))?;
        let outcome = match pass_on(place, body, &mut writer, &exchange).await {
            // Whether an upload that got no proper answer was carried out, nobody knows.
            Ok(()) => {
                writer.close().await.map(drop).map_err(|error| exchange.fault_or(K::Unavailable, error))
            }
            Err(error) => Err(error),
        };
        let Err(fault) = outcome else { return Ok(Put::Done) };
        // What stays of it costs its owner until the service sweeps it.
        let _ = writer.abort().await;
        if Condition::is_refusal(condition, &fault) { Ok(Put::Refused) } else { Err(fault.into()) }
    }
}

/// Gives a body to opendal, which puts it together to parts.
async fn pass_on(place: &Place, body: Body, writer: &mut Writer, exchange: &Exchange) -> Result<(), Fault> {
    let mut meter = Meter::new(place.operation, &place.path, body.len());
    let mut stream = match body {
        Body::Bytes(bytes) => stream::iter([Ok(bytes)]).boxed(),
        Body::Stream { stream, .. } => stream,
    };
    while let Some(piece) = stream.next().await {
        let piece = piece?;
        meter.add(piece.len())?;
        writer.write(Buffer::from(piece)).await.map_err(|error| exchange.fault(error))?;
    }
    Ok(meter.finish()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_body_has_too_many_parts() {
        assert_eq!(part_size(0), PART);
        assert_eq!(part_size(PART * PARTS_MAX), PART);
        let five_tib = 5 * (1 << 40);
        assert!(part_size(five_tib) > PART && five_tib.div_ceil(part_size(five_tib)) <= PARTS_MAX);
        assert_eq!(part_size(five_tib) % (1024 * 1024), 0);
    }
}
