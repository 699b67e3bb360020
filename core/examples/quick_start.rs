//! The example of the README, which shows everything below these lines.
#![allow(clippy::print_stdout, reason = "an example")]

use std::{error::Error, sync::Arc};

use interocitor_core::{
    Condition, Config, Direction, Interocitor, StoreLocation, Value, mailbox::FolderMailbox,
};
use serde_json::json;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut config = Config::new("todo", StoreLocation::File("todo.db".into()));
    config.remote_path = Some("/Todo".into());
    let db = Interocitor::open(config).await?; // ready for offline work

    let todos = db.table("todos");
    let id = todos.add(&json!({ "title": "Buy milk", "done": false })).await?;
    todos.patch(id.clone(), &json!({ "done": true })).await?; // only this column gets a new clock

    db.batch(|batch| {
        // All or nothing, here and for every peer.
        batch.table("todos").put("bread", &json!({ "title": "Bake bread", "done": false }))?;
        batch.table("log").add(&json!({ "what": "planned the weekend" }))
    })
    .await?;

    let open = todos
        .query()
        .filter("done", Condition::Equals(Value::parse("false")?))
        .order_by("title", Direction::Ascending)
        .limit(20);
    for row in db.query(&open).await? {
        println!("{} {}", row.id, row.json);
    }

    std::fs::create_dir_all("mailbox")?; // any folder that is synced: the engine never makes it
    db.set_remote_storage(Some(Arc::new(FolderMailbox::new("mailbox")))).await;
    db.connect().await?; // founds the mesh in an empty mailbox, else joins; then polls and flushes by itself
    if let Some(passphrase) = db.get_passphrase() {
        println!("other devices need this: {}", passphrase.expose());
    }
    db.shutdown().await?;
    Ok(())
}
