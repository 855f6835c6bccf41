//! A master without a disk starts while its secondaries stand still: it leads alone, in a log of its own.

use replog_tests::harness::{Client, Cluster, SOON, wait_until};
use serde_json::Value;

/// A cluster in memory that has acknowledged some writes, and whose master was restarted while both secondaries were
/// paused. Returns its health before that.
async fn restarted_alone() -> (Cluster, Value) {
    let mut cluster = Cluster::running().await;
    let client = cluster.client();
    for nth in 0..20 {
        client.write(&format!("acknowledged {nth}"), 3).await;
    }
    cluster.equal_logs(SOON).await;
    let old = client.health().await;
    for number in [1, 2] {
        cluster.secondary(number).process.pause();
    }
    cluster.master.process.kill();
    cluster.master.start().await;
    assert_ne!(client.health().await["log_id"], old["log_id"], "nobody could say that there is a log");
    (cluster, old)
}

fn resume(cluster: &mut Cluster) {
    for number in [1, 2] {
        cluster.secondary(number).process.resume();
    }
}

async fn says(client: &Client, words: [&str; 2]) {
    let said = async || {
        let reason = client.health().await["reason"].as_str().unwrap_or_default().to_owned();
        words.iter().all(|word| reason.contains(word))
    };
    wait_until(&format!("health says {words:?}"), SOON, said).await;
}

#[tokio::test]
async fn a_log_that_began_while_others_stood_still_gives_way_to_theirs_while_it_has_no_entry() {
    let (mut cluster, old) = restarted_alone().await;
    let client = cluster.client();
    resume(&mut cluster);
    let taken_over = async || client.is_ready().await && client.health().await["log_id"] == old["log_id"];
    wait_until("the master takes the old log over", SOON, taken_over).await;
    assert_eq!(client.write("after", 3).await.order(), 20);
    assert_eq!(cluster.equal_logs(SOON).await.len(), 21);
}

#[tokio::test]
async fn a_log_that_began_while_others_stood_still_stays_once_it_has_an_entry_and_everybody_says_what_to_do()
{
    let (mut cluster, _) = restarted_alone().await;
    let client = cluster.client();
    assert_eq!(client.write("alone", 1).await.order(), 0);
    resume(&mut cluster);
    says(&client, ["secondary1 is foreign", "start secondary1 over an empty data directory"]).await;
    says(&cluster.reader(1), ["the master has another log", "start this node over an empty data directory"])
        .await;
    assert_eq!(client.write("still alone", 1).await.order(), 1);
    // What they say to do.
    for number in [1, 2] {
        cluster.secondary(number).process.kill();
        cluster.secondary(number).start().await;
    }
    assert_eq!(client.write("together", 3).await.order(), 2);
}
