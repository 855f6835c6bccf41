//! `replog status`: how the nodes are.

use std::{collections::BTreeMap, time::Duration};

use bytes::Bytes;
use clap::Args;
use serde::Deserialize;
use tokio::time::timeout;

use crate::{
    Target,
    client::{self, Client},
    failure::Failure,
    format::grouped,
    node_url::NodeUrl,
    output,
    reach::Reach,
};

/// How long a node may take to tell its health.
const HEALTH_TIMEOUT: Duration = Duration::from_secs(5);

/// Show the health of nodes; ask the master to see each secondary.
///
/// Exits with 0 if every node asked says "ok", with 1 if one is degraded or worse, with 4 if one cannot be
/// reached.
#[derive(Args)]
pub(crate) struct Status {
    #[command(flatten)]
    target: Target,
    /// The nodes to ask, instead of --url.
    #[arg(value_name = "URL")]
    urls: Vec<NodeUrl>,
    /// Print the nodes' answers as they came, one JSON document a line.
    #[arg(long)]
    json: bool,
}

/// What is shown of `GET /health`.
#[derive(Deserialize)]
struct Health {
    status: String,
    role: Option<String>,
    log_id: Option<String>,
    epoch: Option<String>,
    epoch_owner: Option<String>,
    /// Entries that the node shows.
    length: Option<u64>,
    digest: Option<String>,
    /// On a secondary: entries of the master that it does not show yet.
    lag: Option<u64>,
    /// On a master, by name.
    #[serde(default)]
    secondaries: BTreeMap<String, Secondary>,
}

#[derive(Deserialize)]
struct Secondary {
    status: String,
    acked_through: Option<u64>,
    lag: Option<u64>,
}

impl Health {
    /// The epoch with the node that opened it, as far as it is told.
    fn epoch(&self) -> Option<String> {
        let epoch = self.epoch.as_ref()?;
        Some(self.epoch_owner.as_ref().map_or_else(|| epoch.clone(), |owner| format!("{epoch} of {owner}")))
    }
}

impl Status {
    /// Asks one node after the other.
    ///
    /// # Errors
    /// The first node that cannot be reached or is not "ok"; all are asked and shown before.
    pub(crate) async fn run(self) -> Result<(), Failure> {
        let reach = self.target.reach.check()?;
        let urls = if self.urls.is_empty() { vec![self.target.url] } else { self.urls };
        let mut first = Ok(());
        for url in urls {
            let outcome = show(&url, &reach, self.json).await;
            match (&first, outcome) {
                (Ok(()), outcome) => first = outcome,
                (Err(_), Err(further)) => output::say(format_args!("replog: {further}")),
                (Err(_), Ok(())) => {}
            }
        }
        first
    }
}

async fn show(url: &NodeUrl, reach: &Reach, json: bool) -> Result<(), Failure> {
    let body = ask(url, reach).await?;
    let health: Health = serde_json::from_slice(&body)
        .map_err(|error| Failure::Unknown(format!("{url} answers with something else: {error}")))?;
    if json {
        output::data_line(String::from_utf8_lossy(&body).trim_ascii())?;
    } else {
        output::data_line(Page { url, health: &health, colour: output::wants_colour() }.text())?;
    }
    if health.status == "ok" { Ok(()) } else { Err(Failure::Bad(format!("{url} is {}", health.status))) }
}

async fn ask(url: &NodeUrl, reach: &Reach) -> Result<Bytes, Failure> {
    let mut client = Client::new(url.clone(), reach);
    let asking =
        async { client::whole(client::checked(client.get("/health").await?).await?.into_body()).await };
    timeout(HEALTH_TIMEOUT, asking).await.unwrap_or_else(|_| {
        let reason = format!("no answer within {} s", HEALTH_TIMEOUT.as_secs());
        Err(Failure::unreachable(url, reason))
    })
}

/// One node as it is shown to people.
struct Page<'a> {
    url: &'a NodeUrl,
    health: &'a Health,
    colour: bool,
}

impl Page<'_> {
    fn text(&self) -> String {
        let mut lines = vec![self.headline(), self.facts()];
        lines.extend(self.table());
        lines.join("\n")
    }

    fn headline(&self) -> String {
        let role = self.health.role.as_deref().unwrap_or("node");
        format!("{}  {role}  {}", self.url, self.painted(&self.health.status, 0))
    }

    fn facts(&self) -> String {
        let number = |number: Option<u64>| number.map(grouped);
        let facts = [
            ("log", self.health.log_id.clone()),
            ("epoch", self.health.epoch()),
            ("length", number(self.health.length)),
            ("lag", number(self.health.lag)),
            ("digest", self.health.digest.clone()),
        ];
        let known = facts.into_iter().filter_map(|(name, value)| Some(format!("  {name} {}", value?)));
        known.collect()
    }

    /// Nothing for a node that knows no secondaries.
    fn table(&self) -> Vec<String> {
        let secondaries = &self.health.secondaries;
        if secondaries.is_empty() {
            return Vec::new();
        }
        let width = secondaries.keys().map(String::len).chain(["secondary".len()]).max().unwrap_or(0);
        let mut lines =
            vec![format!("  {:width$}  {:10}{:>14}{:>12}", "secondary", "status", "acked through", "lag")];
        lines.extend(secondaries.iter().map(|(name, secondary)| self.row(name, secondary, width)));
        lines
    }

    fn row(&self, name: &str, secondary: &Secondary, width: usize) -> String {
        let number = |number: Option<u64>| number.map_or_else(|| "-".to_owned(), grouped);
        let behind = || Some(self.health.length?.saturating_sub(secondary.acked_through?));
        let status = self.painted(&secondary.status, 10);
        let lag = number(secondary.lag.or_else(behind));
        format!("  {name:width$}  {status}{:>14}{lag:>12}", number(secondary.acked_through))
    }

    /// `status`, padded to `width`: green is well, yellow is waiting, red needs someone.
    fn painted(&self, status: &str, width: usize) -> String {
        let code = match status {
            "ok" | "healthy" => 32,
            "unhealthy" | "diverged" | "fenced" | "failed" => 31,
            _ => 33,
        };
        if self.colour { format!("\x1b[{code}m{status:width$}\x1b[0m") } else { format!("{status:width$}") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(health: &str, colour: bool) -> String {
        let health = serde_json::from_str(health).unwrap();
        let url = "127.0.0.1:5000".parse().unwrap();
        Page { url: &url, health: &health, colour }.text()
    }

    #[test]
    fn a_master_shows_each_secondary_and_its_lag() {
        let shown = page(
            r#"{"status": "degraded", "role": "master", "log_id": "a1", "epoch": "2.5", "epoch_owner": "m", "length": 12345,
                "digest": "00ff", "uptime_seconds": 3, "secondaries": {
                "secondary1": {"status": "healthy", "acked_through": 12345, "incarnation": "x"},
                "s2": {"status": "unhealthy", "acked_through": 45},
                "s3": {"status": "unhealthy"}}}"#,
            false,
        );
        let expected = "\
http://127.0.0.1:5000  master  degraded
  log a1  epoch 2.5 of m  length 12,345  digest 00ff
  secondary   status     acked through         lag
  s2          unhealthy             45      12,300
  s3          unhealthy              -           -
  secondary1  healthy           12,345           0";
        assert_eq!(shown, expected);
    }

    #[test]
    fn a_secondary_shows_its_own_lag() {
        let shown =
            page(r#"{"status": "ok", "role": "secondary", "epoch": "1.0", "length": 3, "lag": 2}"#, false);
        assert_eq!(shown, "http://127.0.0.1:5000  secondary  ok\n  epoch 1.0  length 3  lag 2");
    }

    #[test]
    fn colour_is_only_for_terminals() {
        assert!(page(r#"{"status": "ok"}"#, true).contains("\x1b[32mok\x1b[0m"));
        assert!(!page(r#"{"status": "ok"}"#, false).contains('\x1b'));
    }
}
