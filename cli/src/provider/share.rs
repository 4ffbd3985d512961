//! `cloister provider share` and `unshare`: the copies of a repository in another account.

use clap::Args;
use cloister_accounts::{AccountId, Destination, RepositoryName};
use serde_json::Map;

use super::REPOSITORY;
use crate::accounts::{Common, failure};
use crate::failure::Failure;

/// What both take.
#[derive(Args)]
pub struct Share {
    /// The data owner's account.
    #[arg(long, value_name = "ACCOUNT")]
    consumer: AccountId,
    /// The repository.
    #[arg(long, default_value = REPOSITORY)]
    repository: RepositoryName,
    /// The data owner's region; by default the same.
    #[arg(long, value_name = "REGION")]
    to_region: Option<String>,
    #[command(flatten)]
    common: Common,
}

impl Share {
    fn to(&self, region: &str) -> Destination {
        let region = self.to_region.clone().unwrap_or_else(|| region.to_owned());
        Destination { region, account: self.consumer.to_string() }
    }

    fn undo(&self, verb: &str) -> String {
        let region = self.to_region.as_ref().map(|region| format!(" --to-region {region}")).unwrap_or_default();
        format!("cloister provider {verb} --consumer {} --repository {}{region}", self.consumer, self.repository)
    }
}

/// Has the repository copied.
pub async fn share(arguments: &Share) -> Result<(), Failure> {
    let account = arguments.common.open().await?;
    let to = arguments.to(&account.region);
    let mut plan = account.plan_share(&arguments.repository, &to, &arguments.undo("unshare")).await.map_err(failure)?;
    plan.next.push(format!(
        "the data owner ({}) lets it in: cloister consumer accept --provider {} --repository {} --region {}",
        arguments.consumer, account.id, arguments.repository, to.region
    ));
    plan.next.push("then push: cloister provider publish; before that, nothing is copied".to_owned());
    arguments.common.carry_out("provider share", &account, &plan, Map::new()).await
}

/// Has it copied no longer.
pub async fn unshare(arguments: &Share) -> Result<(), Failure> {
    let account = arguments.common.open().await?;
    let to = arguments.to(&account.region);
    let plan = account.plan_unshare(&arguments.repository, &to, &arguments.undo("share")).await.map_err(failure)?;
    arguments.common.carry_out("provider unshare", &account, &plan, Map::new()).await
}
