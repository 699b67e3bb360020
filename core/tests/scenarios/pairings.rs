//! Plays the steps of a pairing. What both devices do at once goes on beside the steps.

use std::{sync::Arc, time::Duration};

use interocitor_core::{
    Error, Interocitor, Paired, Pairing,
    pairing::{PairingOptions, PairingPayload},
};
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use crate::{
    format::Action,
    interpreter::{Fault, Outcome},
};

/// The pairing of one device, and its end, once it was begun.
#[derive(Debug, Default)]
pub(crate) struct Pairings {
    pairing: Option<Arc<Pairing>>,
    end: Option<JoinHandle<Result<Paired, Error>>>,
}

impl Pairings {
    /// Plays a step of a pairing.
    pub(crate) async fn play(&mut self, db: &Interocitor, action: Action) -> Outcome {
        match action {
            Action::PairShare {} => Ok(self.shown(db.pair_share(options()).await?)),
            Action::PairJoin {} => Ok(self.shown(db.pair_join(options()).await?)),
            Action::PairScan { payload } => {
                self.shown(db.pair_scan(PairingPayload::parse(&payload)?, options()).await?);
                Ok(Value::Null)
            }
            Action::PairCode {} => Ok(json!(self.pairing()?.code().await?)),
            Action::PairComplete { code } => {
                let pairing = Arc::clone(self.pairing()?);
                if pairing.code().await? != code {
                    return Err(Fault::driver("the codes differ"));
                }
                self.end = Some(tokio::spawn(async move { pairing.complete().await }));
                Ok(Value::Null)
            }
            Action::Paired {} => {
                let end = self.end.take().ok_or_else(|| Fault::driver("pairComplete comes first"))?;
                let paired = end.await.map_err(Fault::driver)??;
                Ok(json!({ "remotePath": paired.remote_path, "received": paired.received }))
            }
            Action::PairCancel {} => {
                self.pairing()?.cancel().await;
                Ok(Value::Null)
            }
            other => Err(Fault::driver(format!("{other:?} is no step of a pairing"))),
        }
    }

    fn shown(&mut self, pairing: Pairing) -> Value {
        let payload = json!(pairing.payload().encode());
        self.pairing = Some(Arc::new(pairing));
        payload
    }

    fn pairing(&self) -> Result<&Arc<Pairing>, Fault> {
        self.pairing.as_ref().ok_or_else(|| Fault::driver("there is no pairing"))
    }
}

fn options() -> PairingOptions {
    let mut options = PairingOptions::default();
    options.timeout = Duration::from_secs(30);
    options.poll_interval = Duration::from_millis(20);
    options
}
