//! The logs of running nodes, compared.

use http_body_util::BodyExt as _;
use serde::Deserialize;
use serde_json::json;

use crate::{
    client::{self, Client},
    elements::Elements,
    failure::Failure,
    format::grouped,
    node_url::NodeUrl,
    output,
    reach::Reach,
};

/// Entries compared at one time.
const PAGE_ENTRIES: u64 = 1_000;

/// What is looked at of `GET /health`.
#[derive(Debug, Deserialize)]
struct Health {
    log_id: Option<String>,
    epoch: Option<String>,
    /// None from a node that does not tell.
    epoch_owner: Option<String>,
    length: u64,
    digest: String,
}

impl Health {
    /// Whether both are in epochs of one number that different nodes have opened.
    fn shares_a_number_with(&self, other: &Health) -> bool {
        let both_tell = self.epoch_owner.is_some() && other.epoch_owner.is_some();
        both_tell && self.epoch == other.epoch && self.epoch_owner != other.epoch_owner
    }
}

struct Node {
    url: NodeUrl,
    client: Client,
    health: Health,
}

/// What a comparison found.
enum Finding {
    /// Equally long, and with one digest.
    Equal,
    /// The shorter one is a prefix of the longer one.
    Prefix,
    /// Another log.
    Foreign,
    /// One epoch number that two nodes have opened, on two sides of a cut.
    OtherOwner,
    /// The first order at which they differ.
    Differs(u64),
    /// All entries are the same, and the digests are not: the marks between them differ.
    MarksDiffer,
}

/// Compares the first node with each of the others.
///
/// # Errors
/// A node cannot be reached, or differs.
pub(super) async fn verify(urls: &[NodeUrl], reach: &Reach, as_json: bool) -> Result<(), Failure> {
    let mut nodes = Vec::new();
    for url in urls {
        nodes.push(Node::ask(url, reach).await?);
    }
    let (first, others) = nodes.split_first_mut().ok_or_else(|| Failure::Usage("no URL".to_owned()))?;
    say(first, None, as_json)?;
    let mut worst = Ok(());
    for other in others {
        let finding = compare(first, other).await?;
        say(other, Some(&finding), as_json)?;
        if !matches!(finding, Finding::Equal | Finding::Prefix) {
            worst = Err(Failure::Bad(format!("{} {}", other.url, words(&finding, &first.url))));
        }
    }
    worst
}

impl Node {
    async fn ask(url: &NodeUrl, reach: &Reach) -> Result<Node, Failure> {
        let mut client = Client::new(url.clone(), reach);
        let body = client::whole(client::checked(client.get("/health").await?).await?.into_body()).await?;
        let health = serde_json::from_slice(&body)
            .map_err(|error| Failure::Unknown(format!("{url} answers with something else: {error}")))?;
        Ok(Node { url: url.clone(), client, health })
    }

    /// The entries from `from` on, one line each; none behind the end.
    async fn page(&mut self, from: u64, limit: u64) -> Result<Vec<Vec<u8>>, Failure> {
        let path = format!("/full_messages?from={from}&limit={limit}");
        let mut body = client::checked(self.client.get(&path).await?).await?.into_body();
        let (mut elements, mut page) = (Elements::default(), Vec::new());
        let broke_off = || Failure::Unknown(format!("{}: the page from {from} on broke off", self.url));
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|_| broke_off())?;
            elements.push::<Failure>(frame.data_ref().map_or(&[], |bytes| bytes), |element| {
                page.push(element.to_vec());
                Ok(())
            })?;
        }
        if elements.is_complete() { Ok(page) } else { Err(broke_off()) }
    }
}

async fn compare(one: &mut Node, other: &mut Node) -> Result<Finding, Failure> {
    if one.health.log_id != other.health.log_id {
        return Ok(Finding::Foreign);
    }
    let equally_long = one.health.length == other.health.length;
    if equally_long && one.health.digest == other.health.digest {
        return Ok(Finding::Equal);
    }
    let common = one.health.length.min(other.health.length);
    Ok(match first_difference(one, other, common).await? {
        Some(order) => Finding::Differs(order),
        None if one.health.shares_a_number_with(&other.health) => Finding::OtherOwner,
        None if equally_long => Finding::MarksDiffer,
        None => Finding::Prefix,
    })
}

async fn first_difference(one: &mut Node, other: &mut Node, common: u64) -> Result<Option<u64>, Failure> {
    let mut at = 0;
    while at < common {
        let limit = PAGE_ENTRIES.min(common - at);
        let (left, right) = (one.page(at, limit).await?, other.page(at, limit).await?);
        let both = left.len().min(right.len());
        if both == 0 {
            return Ok(Some(at));
        }
        if let Some(nth) = (0..both).find(|nth| left[*nth] != right[*nth]) {
            return Ok(Some(at + nth as u64));
        }
        at += both as u64;
    }
    Ok(None)
}

fn say(node: &Node, finding: Option<&Finding>, as_json: bool) -> Result<(), Failure> {
    let Health { log_id, epoch, epoch_owner, length, digest } = &node.health;
    let (word, order) = match finding {
        None => ("compared with", None),
        Some(Finding::Equal) => ("equal", None),
        Some(Finding::Prefix) => ("prefix", None),
        Some(Finding::Foreign) => ("foreign", None),
        Some(Finding::OtherOwner) => ("other owner", None),
        Some(Finding::Differs(order)) => ("differs", Some(*order)),
        Some(Finding::MarksDiffer) => ("marks differ", None),
    };
    let url = node.url.to_string();
    let line = if as_json {
        json!({
            "url": url, "status": word, "first_difference": order, "log_id": log_id, "epoch": epoch,
            "epoch_owner": epoch_owner, "length": length, "digest": digest,
        })
        .to_string()
    } else {
        let at = order.map(|order| format!(" at order {}", grouped(order))).unwrap_or_default();
        let log = log_id.as_deref().unwrap_or("none");
        format!("{url}  {word}{at}  log {log}  length {}  digest {digest}", grouped(*length))
    };
    Ok(output::data_line(line)?)
}

fn words(finding: &Finding, first: &NodeUrl) -> String {
    match finding {
        Finding::Equal | Finding::Prefix => format!("agrees with {first}"),
        Finding::Foreign => format!("holds another log than {first}"),
        Finding::OtherOwner => {
            format!("is in an epoch of the same number as {first} that another node has opened")
        }
        Finding::Differs(order) => format!("differs from {first} at order {order}"),
        Finding::MarksDiffer => format!("has the entries of {first}, and other marks between them"),
    }
}
