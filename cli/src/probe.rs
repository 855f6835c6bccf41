//! `replog probe`: is a URL answered well? For the health checks of containers that have no curl.

use std::time::Duration;

use clap::Args;
use tokio::time::timeout;

use crate::{client::Client, failure::Failure, node_url::NodeUrl, reach::ReachArgs};

/// Ask for a URL and exit with 0 if it answers with 2xx in time.
///
/// Made for container health checks: replog probe http://127.0.0.1:5000/readyz
#[derive(Args)]
pub(crate) struct Probe {
    /// The URL to ask for.
    url: NodeUrl,
    #[command(flatten)]
    reach: ReachArgs,
    /// How long the answer may take.
    #[arg(long, value_name = "MS", default_value_t = 2_000)]
    timeout_ms: u64,
}

impl Probe {
    /// Asks once.
    ///
    /// # Errors
    /// Another status, no connection, no answer in time.
    pub(crate) async fn run(self) -> Result<(), Failure> {
        let mut client = Client::new(self.url.clone(), &self.reach.check()?);
        match timeout(Duration::from_millis(self.timeout_ms), client.get_own()).await {
            Ok(answer) => match answer?.status() {
                status if status.is_success() => Ok(()),
                status => Err(Failure::Bad(format!("{} answers with {status}", self.url))),
            },
            Err(_) => {
                Err(Failure::unreachable(&self.url, format!("no answer within {} ms", self.timeout_ms)))
            }
        }
    }
}
