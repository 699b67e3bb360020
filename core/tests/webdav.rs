//! The WebDAV mailbox against real servers, and against one that does everything wrong.

use std::sync::Arc;

use interocitor_core::mailbox::{StorageAdapter, WebDavConfig, WebDavMailbox, suite};

/// The real servers, by the variable that tells their address.
const SERVERS: [&str; 2] = ["WEBDAV_APACHE_URL", "WEBDAV_RCLONE_URL"];

#[tokio::test(flavor = "multi_thread")]
async fn conforms_on_real_servers() {
    let mut tried = 0;
    for variable in SERVERS {
        let Ok(url) = std::env::var(variable) else { continue };
        tried += 1;
        let config = WebDavConfig::new(&url).unwrap();
        let make = || Arc::new(WebDavMailbox::new(&config).unwrap()) as Arc<dyn StorageAdapter>;
        let client = make();
        client.authenticate().await.unwrap();
        println!("{variable}: {client:?}");
        let capabilities = client.capabilities();
        assert!(capabilities.exclusive_create && capabilities.conditional_replace && capabilities.streaming);
        let root = format!("/conformance {}", std::process::id());
        suite::run(&make, &root).await;
    }
    assert!(tried > 0, "no server to test against: run `bash tests/run.sh webdav`");
}
