//! A browser without a screen, and what a person would see and do in it.

use std::{path::Path, process::Stdio};

use serde_json::json;
use tempfile::TempDir;
use thirtyfour::{
    By, ChromiumLikeCapabilities as _, DesiredCapabilities, Key, WebDriver, WebElement,
    error::WebDriverResult,
};
use tokio::process::{Child, Command};

use super::{
    ports,
    wait::{SOON, eventually, wait_until},
};

/// A browser with one window. Dropping it kills it.
#[derive(Debug)]
pub struct Browser {
    driver: WebDriver,
    #[expect(dead_code, reason = "dropping it kills the process")]
    process: Child,
    /// What the browser writes; removed when it is dropped.
    profile: TempDir,
}

impl Browser {
    /// Starts Chromium by its driver, and opens a page.
    ///
    /// # Panics
    /// They are not installed (Debian: `chromium` and `chromium-driver`), or do not start.
    pub async fn at(url: &str) -> Browser {
        let (port, profile) = (ports::free(), tempfile::tempdir().expect("a temporary folder can be made"));
        let mut command = Command::new("chromedriver");
        command.arg(format!("--port={port}")).stdout(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true);
        // What the browser leaves behind when it is killed goes with its profile.
        command.env("TMPDIR", profile.path());
        let process = command.spawn().expect("chromedriver is installed");
        let capabilities = capabilities(profile.path()).expect("the capabilities are well formed");
        let server = format!("http://127.0.0.1:{port}");
        let driver = eventually("the browser starts", 2 * SOON, async || {
            WebDriver::new(&server, capabilities.clone()).await.ok()
        })
        .await;
        driver.goto(url).await.expect("the page opens");
        Browser { driver, process, profile }
    }

    /// What stands in the element that a CSS selector finds first; none if there is no such element.
    pub async fn text(&self, selector: &str) -> Option<String> {
        self.find(selector).await?.text().await.ok()
    }

    /// How many elements a CSS selector finds.
    pub async fn count(&self, selector: &str) -> usize {
        self.driver.find_all(By::Css(selector)).await.map_or(0, |found| found.len())
    }

    /// Waits until an element shows a text.
    ///
    /// # Panics
    /// It does not.
    pub async fn shows(&self, selector: &str, text: &str) {
        let what = format!("{selector} shows {text:?}");
        wait_until(&what, SOON, async || self.text(selector).await.is_some_and(|shown| shown.contains(text)))
            .await;
    }

    /// Waits until a CSS selector finds so many elements.
    ///
    /// # Panics
    /// It does not.
    pub async fn counts(&self, selector: &str, count: usize) {
        let what = format!("{selector} finds {count}");
        wait_until(&what, SOON, async || self.count(selector).await == count).await;
    }

    /// Clicks what a CSS selector finds first.
    ///
    /// # Panics
    /// There is no such element, or it cannot be clicked.
    pub async fn click(&self, selector: &str) {
        self.there(selector).await.click().await.expect("it can be clicked");
    }

    /// Types into what a CSS selector finds first.
    ///
    /// # Panics
    /// There is no such element, or it takes no keys.
    pub async fn enter(&self, selector: &str, text: &str) {
        self.there(selector).await.send_keys(text).await.expect("it takes keys");
    }

    /// Empties a field and types into it.
    ///
    /// # Panics
    /// As [`Browser::enter`].
    pub async fn replace(&self, selector: &str, text: &str) {
        let field = self.there(selector).await;
        field.send_keys(Key::Control + "a").await.expect("it takes keys");
        field.send_keys(text).await.expect("it takes keys");
    }

    /// What a script gives.
    ///
    /// # Panics
    /// It fails.
    pub async fn evaluate(&self, script: &str) -> serde_json::Value {
        let result = self.driver.execute(format!("return {script};"), Vec::new()).await;
        result.expect("the script runs").json().clone()
    }

    /// Writes what is on screen as PNG.
    ///
    /// # Panics
    /// It cannot be taken or written.
    pub async fn screenshot(&self, path: &Path) {
        self.driver.screenshot(path).await.expect("a screenshot can be taken");
    }

    /// Makes the window as large as that.
    ///
    /// # Panics
    /// It cannot be resized.
    pub async fn resize(&self, width: u32, height: u32) {
        self.driver.set_window_rect(0, 0, width, height).await.expect("the window can be resized");
    }

    /// Shows pages as to somebody who prefers this colour scheme: `light` or `dark`.
    ///
    /// # Panics
    /// The browser does not do so.
    pub async fn prefer(&self, scheme: &str) {
        let feature = json!({ "features": [{ "name": "prefers-color-scheme", "value": scheme }] });
        let done = self.driver.cdp().send_raw("Emulation.setEmulatedMedia", feature).await;
        done.expect("the browser emulates media");
    }

    async fn find(&self, selector: &str) -> Option<WebElement> {
        self.driver.find(By::Css(selector)).await.ok()
    }

    async fn there(&self, selector: &str) -> WebElement {
        eventually(&format!("there is {selector}"), SOON, async || self.find(selector).await).await
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // It would be asked to end, and waited for, where nobody is left to answer. It was never quit before.
        let _quit = self.driver.clone().leak();
        // The browser outlives its driver. Its profile is its own, so all that names it belongs to it.
        let profile = self.profile.path().as_os_str();
        // Who cannot be killed is gone already.
        let _gone = std::process::Command::new("pkill").args(["-KILL", "-f"]).arg(profile).status();
    }
}

fn capabilities(profile: &Path) -> WebDriverResult<thirtyfour::ChromeCapabilities> {
    let mut capabilities = DesiredCapabilities::chrome();
    // Root has no sandbox, and a container little shared memory.
    for argument in [
        "--headless=new",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-dev-shm-usage",
        "--window-size=1200,1000",
    ] {
        capabilities.add_arg(argument)?;
    }
    capabilities.add_arg(&format!("--user-data-dir={}", profile.display()))?;
    Ok(capabilities)
}
