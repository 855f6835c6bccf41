//! The console in a real browser: what a visitor reads, clicks and types.

use replog_tests::harness::{Browser, Cluster, Options, SOON, wait_until};
use serde_json::json;

async fn console(cluster: &Cluster) -> Browser {
    let browser = Browser::at(&cluster.client().url("/")).await;
    browser.shows("#status", "ok").await;
    browser
}

/// Types a message into the form, chooses w and presses Enter.
async fn append(browser: &Browser, message: &str, w: u16) {
    browser.enter("#w", &w.to_string()).await;
    browser.enter("#message", &format!("{message}\n")).await;
}

#[tokio::test]
async fn a_visitor_appends_and_sees_the_entry_reach_every_node() {
    let cluster = Cluster::running().await;
    let browser = console(&cluster).await;
    browser.counts("#nodes li", 3).await;
    browser.shows("#empty", "The log is empty.").await;
    append(&browser, "Msg0", 3).await;
    browser.shows("#answers li", "order 0, held by master, secondary1, secondary2").await;
    browser.shows("#entries tbody tr .message", "Msg0").await;
    browser.counts("#entries tbody tr .lane.held", 3).await;
    assert_eq!(cluster.client().messages().await, Some(vec![json!("Msg0")]));
}

#[tokio::test]
async fn a_write_that_waits_names_the_node_whose_ack_is_missing() {
    let mut cluster = Cluster::running().await;
    let browser = console(&cluster).await;
    cluster.secondary(2).process.kill();
    append(&browser, "blocked", 3).await;
    browser.shows("#waiting tbody tr", "secondary2").await;
    browser.shows("#waiting tbody td:nth-child(3)", "master, secondary1").await;
    browser.shows("#nodes", "unhealthy").await;
    browser.shows("#reason", "secondary2 is").await;
    browser.counts("#entries tbody .lane.held", 2).await;
    cluster.secondary(2).start().await;
    browser.shows("#answers li", "order 0, held by master, secondary1, secondary2").await;
    browser.counts("#waiting tbody tr", 0).await;
    browser.counts("#entries tbody .lane.held", 3).await;
}

#[tokio::test]
async fn the_log_is_paused_and_filtered_by_keys_alone() {
    let cluster = Cluster::running().await;
    let browser = console(&cluster).await;
    cluster.client().write("apple", 3).await;
    browser.counts("#entries tbody tr", 1).await;
    browser.enter("body", "p").await;
    browser.shows("#pause[aria-pressed=true]", "Pause").await;
    cluster.client().write("pear", 3).await;
    browser.shows("#shown", "1 more since the pause").await;
    assert_eq!(browser.count("#entries tbody tr").await, 1, "nothing moves while it is paused");
    browser.enter("body", "p").await;
    browser.counts("#entries tbody tr", 2).await;
    browser.enter("body", "/").await;
    assert_eq!(browser.evaluate("document.activeElement.id").await, "filter");
    browser.enter("#filter", "PEAR").await;
    browser.counts("#entries tbody tr", 1).await;
    browser.shows("#entries .message", "pear").await;
}

#[tokio::test]
async fn a_message_is_shown_as_text_digit_by_digit_and_never_as_markup() {
    let cluster = Cluster::running().await;
    let browser = console(&cluster).await;
    let markup = "<img src=x onerror=\"document.title='caught'\"><b>bold</b>";
    cluster.client().write(markup, 3).await;
    browser.shows("#entries .message", markup).await;
    append(&browser, r#"{"n": 12345678901234567890.10}"#, 3).await;
    browser.shows("#entries tbody tr:first-child .message", r#"{"n":12345678901234567890.10}"#).await;
    assert_eq!(browser.count("#entries img, #entries b").await, 0);
    let elsewhere =
        "performance.getEntriesByType('resource').filter(r => !r.name.startsWith(location.origin)).length";
    assert_eq!(browser.evaluate(elsewhere).await, 0, "nothing is asked of anybody else");
}

#[tokio::test]
async fn a_cleaned_log_is_empty_on_screen_and_goes_on() {
    let cluster = Cluster::running().await;
    let browser = console(&cluster).await;
    for message in ["a", "b", "c"] {
        cluster.client().write(message, 3).await;
    }
    browser.counts("#entries tbody tr", 3).await;
    assert_eq!(cluster.client().post("/clean", json!({"w": 3})).await.status, 200);
    browser.shows("#empty", "The log is empty.").await;
    browser.counts("#entries tbody tr", 0).await;
    cluster.client().write("after", 3).await;
    browser.shows("#entries .message", "after").await;
}

#[tokio::test]
async fn faults_are_switched_on_the_page_of_the_node_that_has_them() {
    let cluster = Cluster::running().await;
    let browser = Browser::at(&cluster.reader(1).url("/")).await;
    browser.shows("#role", "secondary").await;
    assert_eq!(browser.text("#append-section").await.as_deref(), Some(""), "it takes no appends");
    browser.replace("#drop_rate", "1").await;
    browser.click("#faults button").await;
    browser.shows("#faults-answer", "in force").await;
    let faults = async || cluster.reader(1).get("/faults").await.body["drop_rate"].clone();
    wait_until("everything is dropped", SOON, async || faults().await == 1.0).await;
    browser.click("#no-faults").await;
    wait_until("nothing is dropped", SOON, async || faults().await == 0.0).await;
}

#[tokio::test]
async fn a_page_finds_its_node_again_after_a_restart() {
    let mut cluster = Cluster::start(Options::on_disk()).await;
    let browser = console(&cluster).await;
    cluster.client().write("before", 3).await;
    browser.counts("#entries tbody tr", 1).await;
    cluster.master.process.kill();
    browser.shows("#link.bad", "").await;
    cluster.master.start().await;
    browser.shows("#link", "live").await;
    cluster.client().write("after", 3).await;
    browser.counts("#entries tbody tr", 2).await;
}
