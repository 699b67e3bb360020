//! The WebSocket of the relay (RFC 6455), opened through the client of the other requests.

use reqwest::Url;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::client::generate_key;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};

use super::super::http::{Call, Http, meaning};
use super::super::place::Place;
use super::super::{MailboxErrorKind, MailboxResult};

/// Messages are a few hundred bytes.
const MESSAGE_MAX: usize = 64 * 1024;

pub(super) type Socket = WebSocketStream<reqwest::Upgraded>;

/// Opens a socket. The token stands in the address too: browsers cannot send it otherwise, so Workers look there.
pub(super) async fn open(http: &Http, relay: &Url, folder: &Place) -> MailboxResult<Socket> {
    let mut url = relay.clone();
    if let Some(token) = http.token(relay).await? {
        url.query_pairs_mut().append_pair("access_token", &token);
    }
    let key = generate_key();
    let call = Call::new("watch", &folder.path, "GET", url)
        .header("connection", "Upgrade")?
        .header("upgrade", "websocket")?
        .header("sec-websocket-version", "13")?
        .header("sec-websocket-key", &key)?;
    let answer = http.send(call, None).await?;
    if answer.status() != 101 {
        let (kind, message) = match answer.status() {
            501 => (MailboxErrorKind::Forbidden, "the Worker has no relay"),
            status => meaning(status),
        };
        let error = answer.error(kind, message);
        answer.drain().await;
        return Err(error);
    }
    if answer.header("sec-websocket-accept") != Some(derive_accept_key(key.as_bytes()).as_str()) {
        return Err(answer.error(MailboxErrorKind::Protocol, "the relay speaks no WebSocket"));
    }
    let mut config = WebSocketConfig::default();
    config.max_message_size = Some(MESSAGE_MAX);
    config.max_frame_size = Some(MESSAGE_MAX);
    let connection = answer.upgraded().await?;
    Ok(WebSocketStream::from_raw_socket(connection, Role::Client, Some(config)).await)
}
