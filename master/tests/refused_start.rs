//! A start that ends at the door for appends over NATS leaves the directory of a node that was stopped well as it was.

use std::{fs, net::SocketAddr, path::Path};

use replog_host::{bus::InProcessHub, storage::StorageOptions};
use replog_master::{Config, Running, app};
use replog_shared::Durability;

/// Starts a master over this directory. It knows no server of NATS, so that it has no door to open.
async fn start(dir: &Path, nats_append: bool) -> anyhow::Result<Running> {
    let listen = SocketAddr::from(([127, 0, 0, 1], 0));
    let mut config = Config::in_process(listen, "main".parse()?, Vec::new(), "master".parse()?);
    config.storage = StorageOptions { durability: Durability::Disk, data_dir: Some(dir.to_owned()) };
    config.nats_append = nats_append;
    let translator = app::translator(&config);
    let bus = InProcessHub::new().connect(translator.subscriptions(), translator.inbox());
    app::start(config, bus).await
}

#[tokio::test]
async fn a_start_that_ends_at_the_door_leaves_a_stopped_node_as_it_was() {
    let dir = tempfile::tempdir().unwrap();
    start(dir.path(), false).await.unwrap().stop().await.unwrap();
    let kept = || fs::read_to_string(dir.path().join("node.json")).unwrap();
    let before = kept();
    assert!(before.contains("\"clean_stop\": true") && before.contains("log_end"), "{before}");
    let refusal = start(dir.path(), true).await.unwrap_err();
    assert_eq!(refusal.to_string(), "no NATS URL is given");
    assert_eq!(kept(), before);
}
