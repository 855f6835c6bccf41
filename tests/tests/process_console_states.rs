//! The console in each state that a cluster can be in: what stands on screen, and what to do next.
//!
//! With `REPLOG_SCREENSHOTS=DIR` each state is written there as a picture, wide and as on a phone, light and dark.

use std::{path::PathBuf, time::Duration};

use replog_tests::harness::{Browser, Client, Cluster, Node, Options, disk::Snapshot};
use serde_json::json;

/// Entries of a long log.
const MANY: u64 = 1_000_000;

/// Entries of one batch on the way there: as many as a batch takes.
const BATCH: u64 = 10_000;

async fn console(client: &Client) -> Browser {
    let browser = Browser::at(&client.url("/")).await;
    browser.shows("#link", "live").await;
    browser
}

/// Keeps what is on screen, where somebody wants to look at it.
async fn keep(browser: &Browser, state: &str) {
    let Some(folder) = std::env::var_os("REPLOG_SCREENSHOTS").map(PathBuf::from) else { return };
    for (device, width, height) in [("wide", 1200, 1000), ("phone", 390, 844)] {
        browser.resize(width, height).await;
        for scheme in ["light", "dark"] {
            browser.prefer(scheme).await;
            browser.screenshot(&folder.join(format!("{state}-{device}-{scheme}.png"))).await;
        }
    }
}

/// Nothing on the page is wider than the window of a phone, but what scrolls by itself.
async fn fits_on_a_phone(browser: &Browser) {
    browser.resize(390, 844).await;
    let overhang = "document.documentElement.scrollWidth - document.documentElement.clientWidth";
    assert_eq!(browser.evaluate(overhang).await, 0, "the page is wider than a phone");
}

async fn stopped(node: &mut Node) {
    node.process.terminate();
    assert!(node.process.ended(Duration::from_secs(10)).await.success());
}

#[tokio::test]
async fn an_empty_log_says_that_it_is_empty_and_what_to_do() {
    let cluster = Cluster::running().await;
    let browser = console(&cluster.client()).await;
    browser.shows("#status", "ok").await;
    browser.shows("#empty", "The log is empty. Append a message above").await;
    browser.shows("#waiting-none", "None").await;
    keep(&browser, "empty").await;
    fits_on_a_phone(&browser).await;
    let secondary = console(&cluster.reader(1)).await;
    secondary.shows("#empty", "The log is empty.").await;
}

#[tokio::test]
async fn when_all_is_well_every_node_is_healthy_and_of_one_digest() {
    let cluster = Cluster::running().await;
    for message in ["Msg1", "Msg2", "Msg3"] {
        cluster.client().write(message, 3).await;
    }
    let browser = console(&cluster.client()).await;
    browser.counts("#nodes li.good", 3).await;
    browser.shows("#nodes li:nth-child(3)", "equal").await;
    browser.counts("#entries tbody .lane.held", 9).await;
    keep(&browser, "all-well").await;
    fits_on_a_phone(&browser).await;
}

#[tokio::test]
async fn a_node_that_is_down_is_named_with_what_it_lacks() {
    let mut cluster = Cluster::running().await;
    let browser = console(&cluster.client()).await;
    cluster.client().write("held by all", 3).await;
    cluster.secondary(2).process.kill();
    cluster.client().write("not by secondary2", 2).await;
    browser.shows("#status", "degraded").await;
    browser.shows("#reason", "secondary2 is").await;
    browser.shows("#nodes li.bad", "unhealthy").await;
    browser.shows("#nodes li.bad", "holds\n0..1").await;
    browser.shows("#nodes li.bad", "lag\n1").await;
    browser.counts("#entries tbody .lane.held", 5).await;
    keep(&browser, "one-node-down").await;
    fits_on_a_phone(&browser).await;
}

#[tokio::test]
async fn a_read_only_master_says_why_it_refuses() {
    let mut options = Options::default();
    options.master_args.push("--read-only-without-majority");
    let mut cluster = Cluster::start(options).await;
    cluster.all_healthy().await;
    let browser = console(&cluster.client()).await;
    cluster.client().write("before", 3).await;
    for nth in [1, 2] {
        cluster.secondary(nth).process.kill();
    }
    browser.shows("#status", "read_only").await;
    browser.shows("#reason", "majority").await;
    browser.enter("#message", "refused\n").await;
    browser.shows("#answers li.bad", "majority").await;
    browser.shows("#entries .message", "before").await;
    keep(&browser, "read-only").await;
    fits_on_a_phone(&browser).await;
    cluster.secondary(1).start().await;
    browser.shows("#status", "degraded").await;
    browser.enter("#w", "1").await;
    browser.enter("#message", "taken\n").await;
    browser.shows("#answers li.good", "order 1").await;
}

/// A master on an old copy of its directory that led alone, and then meets a secondary that holds more.
#[tokio::test]
async fn a_diverged_master_says_what_an_operator_can_do() {
    let mut cluster = Cluster::start(Options::on_disk()).await;
    cluster.client().append_range(0..10, 3).await;
    stopped(&mut cluster.master).await;
    let copy = Snapshot::of(cluster.directory("master"));
    cluster.master.start().await;
    cluster.client().append_range(10..20, 3).await;
    for nth in [1, 2] {
        stopped(cluster.secondary(nth)).await;
    }
    stopped(&mut cluster.master).await;
    copy.restore();
    let flags = ["--secondaries", "secondary1,secondary2", "--recovery-wait-ms", "50"];
    let mut master = cluster.node("master", "replog-master", &flags);
    master.start().await;
    master.client.append_range(10..13, 1).await;

    let browser = console(&master.client).await;
    cluster.secondary(1).start().await;
    browser.shows("#status.bad", "diverged").await;
    browser.shows("#reason", "--recover").await;
    browser.enter("#message", "refused\n").await;
    browser.shows("#answers li.bad", "secondary1").await;
    browser.shows("#entries tbody tr:first-child .lane:last-child", "?").await;
    keep(&browser, "diverged").await;
    fits_on_a_phone(&browser).await;
}

#[tokio::test]
async fn a_page_over_a_million_entries_shows_the_newest_and_reads_back() {
    let cluster = Cluster::running().await;
    for from in (0..MANY).step_by(BATCH as usize) {
        let messages: Vec<_> = (from..from + BATCH).map(|nth| json!({ "message": nth })).collect();
        cluster.client().post("/messages/batch", json!({"messages": messages, "w": 1})).await.expect_ok(1);
    }
    let browser = console(&cluster.client()).await;
    browser.shows("#length", "1,000,000 entries").await;
    browser.counts("#entries tbody tr", 100).await;
    browser.shows("#entries tbody tr:first-child td", "999999").await;
    browser.click("#older").await;
    browser.counts("#entries tbody tr", 200).await;
    browser.shows("#entries tbody tr:last-child td", "999800").await;
    keep(&browser, "a-million-entries").await;
    fits_on_a_phone(&browser).await;
    browser.click("#pause").await;
    cluster.client().write("the next one", 1).await;
    browser.shows("#entries tbody tr:first-child .message", "the next one").await;
}
