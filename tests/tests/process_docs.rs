//! The page of the API's description in a real browser.

use replog_tests::harness::{Browser, Cluster};

#[tokio::test]
async fn the_page_shows_every_operation_and_asks_nobody_else() {
    let cluster = Cluster::running().await;
    for client in [cluster.client(), cluster.reader(1)] {
        let paths = client.get("/openapi.json").await.body["paths"].clone();
        let paths = paths.as_object().expect("there are paths").values();
        let operations = paths.filter_map(|methods| methods.as_object()).map(|methods| methods.len()).sum();
        // From the console, as a visitor comes.
        let browser = Browser::at(&client.url("/")).await;
        browser.click("footer a[href=docs]").await;
        browser.counts("details.operation", operations).await;
        browser.shows("#shown", &format!("{operations} operations")).await;
        let elsewhere = "performance.getEntriesByType('resource').filter(r => !r.name.startsWith(location.origin)).length";
        assert_eq!(browser.evaluate(elsewhere).await, 0, "nothing is asked of anybody else");
    }
}

#[tokio::test]
async fn an_operation_is_found_and_read_by_keys_alone() {
    let cluster = Cluster::running().await;
    let browser = Browser::at(&cluster.client().url("/docs")).await;
    browser.shows("#append .path", "/messages").await;
    browser.enter("body", "/").await;
    assert_eq!(browser.evaluate("document.activeElement.id").await, "filter");
    browser.enter("#filter", "clean_not_allowed").await;
    browser.counts("details.operation:not([hidden])", 1).await;
    browser.enter("#clean summary", " ").await;
    browser.shows("#clean pre", "curl -X POST").await;
    browser.shows("#clean", "the node was started without --allow-clean").await;
    browser.shows("#clean summary .badge", "admin").await;
}
