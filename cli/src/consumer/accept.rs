//! `cloister consumer accept` and `decline`: a repository that another account copies into.

use clap::Args;
use cloister_accounts::{AccountId, RepositoryName};
use serde_json::Map;

use crate::accounts::{Common, failure};
use crate::failure::Failure;

/// What both take.
#[derive(Args)]
pub struct Accept {
    /// The model owner's account.
    #[arg(long, value_name = "ACCOUNT")]
    provider: AccountId,
    /// The repository, which has the same name in both accounts.
    #[arg(long)]
    repository: RepositoryName,
    #[command(flatten)]
    common: Common,
}

impl Accept {
    fn undo(&self, verb: &str) -> String {
        format!("cloister consumer {verb} --provider {} --repository {}", self.provider, self.repository)
    }
}

/// Makes the repository, so that its tags cannot be moved, and lets the other account copy into it.
pub async fn accept(arguments: &Accept) -> Result<(), Failure> {
    let account = arguments.common.open().await?;
    let (repository, undo) = (&arguments.repository, arguments.undo("decline"));
    let made = account.plan_repository(repository, &undo).await.map_err(failure)?;
    let mut plan = made.and(account.plan_accept(&arguments.provider, repository, &undo).await.map_err(failure)?);
    plan.next.push(format!(
        "the model owner ({}) pushes, and looks whether it has arrived: cloister provider publish, cloister provider status --wait",
        arguments.provider
    ));
    plan.next.push(format!(
        "then check what arrived: cloister consumer verify-image {}/{repository}:TAG --key provider.pem",
        account.registry_host()
    ));
    arguments.common.carry_out("consumer accept", &account, &plan, Map::new()).await
}

/// Lets it copy no longer, and takes the repository away where nothing is in it.
pub async fn decline(arguments: &Accept) -> Result<(), Failure> {
    let account = arguments.common.open().await?;
    let (repository, undo) = (&arguments.repository, arguments.undo("accept"));
    let declined = account.plan_decline(&arguments.provider, repository, &undo).await.map_err(failure)?;
    let plan = declined.and(account.plan_repository_deletion(repository, &undo).await.map_err(failure)?);
    arguments.common.carry_out("consumer decline", &account, &plan, Map::new()).await
}
