//! `cloister provider status`: where an image is by now.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use clap::Args;
use cloister_accounts::{Account, Destination, ReplicationStatus, RepositoryName, Stored};
use cloister_oci::{Attachment, Digest};
use serde_json::json;

use super::REPOSITORY;
use crate::accounts::{Common, failure};
use crate::failure::Failure;
use crate::words::rfc3339;
use crate::{output, registry};

/// Between two looks. ECR says that most copies take less than 30 minutes.
const PAUSE: Duration = Duration::from_secs(5);

/// What it takes.
#[derive(Args)]
pub struct Status {
    /// The repository.
    #[arg(long, default_value = REPOSITORY)]
    repository: RepositoryName,
    /// The image's tag.
    #[arg(long)]
    tag: String,
    /// Wait until every copy is whole, or one has failed.
    #[arg(long)]
    wait: bool,
    /// How long to wait at most, in seconds.
    #[arg(long, default_value_t = 1800, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    timeout: u64,
    #[command(flatten)]
    common: Common,
}

/// Looks, and looks again where that is wanted.
pub async fn run(arguments: &Status) -> Result<(), Failure> {
    let account = arguments.common.open().await?;
    let end = Instant::now() + Duration::from_secs(arguments.timeout);
    loop {
        let (stored, copies) = look(arguments, &account).await?;
        let on_its_way = copies.iter().any(|copy| copy.status != "COMPLETE" && copy.status != "FAILED");
        if on_its_way && arguments.wait && Instant::now() < end {
            tokio::time::sleep(PAUSE.min(end.saturating_duration_since(Instant::now()))).await;
            continue;
        }
        print(arguments, &stored, &copies)?;
        let failed: Vec<_> = copies.iter().filter(|copy| copy.status == "FAILED").collect();
        return match failed.first() {
            Some(copy) => Err(Failure::unavailable(format!(
                "the copy to {} in {} failed ({}): see that the other side accepts it (cloister consumer accept), and push a new tag",
                copy.to.account,
                copy.to.region,
                copy.failure.as_deref().unwrap_or("no reason given")
            ))),
            None if copies.is_empty() && arguments.wait => Err(Failure::unavailable(
                "it is copied nowhere: cloister provider share, and then publish under a new tag",
            )),
            None if on_its_way && arguments.wait => {
                Err(Failure::unavailable(format!("not every copy was whole after {} s; it goes on", arguments.timeout)))
            }
            None => Ok(()),
        };
    }
}

/// The image, and how far it is at each place with all that belongs to it: no further than its slowest part.
async fn look(arguments: &Status, account: &Account) -> Result<(Stored, Vec<ReplicationStatus>), Failure> {
    let (repository, tag) = (&arguments.repository, &arguments.tag);
    let missing = || Failure::input(format!("the repository {repository} of {} has no image {tag}", account.id));
    let stored = account.stored(repository, tag).await.map_err(failure)?.ok_or_else(missing)?;
    let mut copies: BTreeMap<Destination, ReplicationStatus> = BTreeMap::new();
    for digest in parts(account, repository, &stored.digest).await? {
        for status in account.replication_status(repository, &digest).await.map_err(failure)? {
            let rank =
                |status: &ReplicationStatus| ["COMPLETE", "FAILED"].iter().position(|known| *known == status.status);
            match copies.get_mut(&status.to) {
                // What failed stays failed, and what is on its way is not whole.
                Some(there) if rank(there) == Some(1) || rank(&status) == Some(0) => {}
                Some(there) => *there = status,
                None => drop(copies.insert(status.to.clone(), status)),
            }
        }
    }
    Ok((stored, copies.into_values().collect()))
}

/// The digests of an image, its attachments and their signatures, as far as they are there.
async fn parts(account: &Account, repository: &RepositoryName, image: &str) -> Result<Vec<String>, Failure> {
    let digest = |text: &str| text.parse::<Digest>().map_err(registry::failure);
    let mut signed = vec![image.to_owned()];
    for kind in [Attachment::Measurements, Attachment::Policy] {
        let found = account.stored(repository, &kind.tag(&digest(image)?)).await.map_err(failure)?;
        signed.extend(found.map(|found| found.digest));
    }
    let mut all = signed.clone();
    for part in signed {
        let found = account.stored(repository, &Attachment::Signature.tag(&digest(&part)?)).await.map_err(failure)?;
        all.extend(found.map(|found| found.digest));
    }
    Ok(all)
}

fn print(arguments: &Status, stored: &Stored, copies: &[ReplicationStatus]) -> Result<(), Failure> {
    let (repository, tag) = (&arguments.repository, &arguments.tag);
    let pushed = stored.pushed.map(rfc3339);
    if arguments.common.json() {
        return output::json(&json!({
            "repository": repository.as_str(), "tag": tag, "digest": stored.digest, "pushed": pushed, "copies": copies,
        }));
    }
    let pushed = pushed.as_deref().unwrap_or("an unknown time");
    output::line(format_args!("{repository}:{tag} is {}, here since {pushed}", stored.digest))?;
    if copies.is_empty() {
        output::line("it is copied nowhere: cloister provider share, and then publish")?;
    }
    copies.iter().try_for_each(|copy| {
        let why = copy.failure.as_ref().map(|code| format!(" ({code})")).unwrap_or_default();
        output::line(format_args!("{} in {}: {}{why}", copy.to.account, copy.to.region, copy.status))
    })
}
