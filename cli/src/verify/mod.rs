//! `replog verify`: is the log what it should be?

mod directory;
mod nodes;

use std::path::PathBuf;

use clap::Args;

use crate::{Target, failure::Failure, node_url::NodeUrl};

/// Check a data directory of a stopped node, or compare the logs of running nodes.
///
/// With --data-dir every checksum, every order and the digest through all lines are checked; nothing is
/// changed. With URLs the digests of the nodes are compared, and where they differ, or the nodes are not
/// equally long, the entries: the first order that differs is named.
///
/// Exits with 0 if all is well, with 1 if something is damaged or differs.
#[derive(Args)]
pub(crate) struct Verify {
    #[command(flatten)]
    target: Target,
    /// The directory of a node that is stopped.
    #[arg(long, value_name = "DIR", conflicts_with = "urls")]
    data_dir: Option<PathBuf>,
    /// The nodes to compare, the first one with each of the others.
    #[arg(value_name = "URL")]
    urls: Vec<NodeUrl>,
    /// Print what was found as JSON.
    #[arg(long)]
    json: bool,
}

impl Verify {
    /// Checks, and says what was found.
    ///
    /// # Errors
    /// Something is damaged or differs, or cannot be looked at.
    pub(crate) async fn run(self) -> Result<(), Failure> {
        match &self.data_dir {
            Some(dir) => directory::verify(dir, self.json),
            None => {
                let reach = self.target.reach.check()?;
                let urls = if self.urls.is_empty() { vec![self.target.url] } else { self.urls };
                nodes::verify(&urls, &reach, self.json).await
            }
        }
    }
}
