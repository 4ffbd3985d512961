//! Keys of KMS: found by alias, made, described, rotated, put under a policy, and taken back.

use aws_sdk_kms::types::{KeySpec, KeyState, KeyUsageType, Tag};
use base64::Engine;
use serde_json::{Value, json};

use crate::account::Account;
use crate::error::{Error, Result, absent, refused};
use crate::limits::{DELETION_DAYS, PRINCIPAL_PAUSE, PRINCIPAL_TRIES};
use crate::plan::{Action, Call, Change, MADE_BY, Plan, US};
use crate::statement::{difference, principals, warnings};

/// What a key is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyUse {
    /// Wrapping data keys; the material is rotated each year.
    Encrypt,
    /// Signing images and what is said of them, on P-384. KMS cannot rotate such keys.
    Sign,
}

/// A key as it should be.
pub struct KeyWish {
    /// What a script calls it.
    pub called: &'static str,
    /// Its alias, `alias/…`.
    pub alias: String,
    /// A key that is there, and gets the alias: for one that was half made, or by hand.
    pub adopt: Option<String>,
    /// What people read in the console.
    pub description: String,
    /// What for.
    pub usage: KeyUse,
    /// Its policy when it is made. A key that is there keeps its own.
    pub policy: Value,
}

/// A key as it is.
#[derive(Clone, Debug)]
pub struct FoundKey {
    /// Its ARN.
    pub arn: String,
    /// Its description.
    pub description: String,
    /// Whether it is about to be deleted.
    pub pending_deletion: bool,
    /// Whether it was disabled.
    pub disabled: bool,
    /// Whether it wraps or signs.
    pub usage: Option<KeyUse>,
}

pub(crate) enum KeyCall {
    Create { alias: String, description: String, usage: KeyUse, policy: Value },
    Alias { alias: String, arn: String },
    Unalias { alias: String },
    Describe { arn: String, description: String },
    Rotate { arn: String },
    Enable { arn: String },
    Keep { arn: String },
    Delete { arn: String },
    Policy { arn: String, policy: Value },
}

impl Account {
    /// The key behind an alias, an id or an ARN.
    ///
    /// # Errors
    /// The call's failure.
    pub async fn find_key(&self, name: &str) -> Result<Option<FoundKey>> {
        const CALL: &str = "kms:DescribeKey";
        let answer = self.kms.describe_key().key_id(name).send().await;
        let Some(answer) = absent(CALL, answer, &["NotFoundException"])? else { return Ok(None) };
        let key = answer.key_metadata.ok_or(Error::Incomplete { call: CALL, what: "key" })?;
        let usage = match (key.key_usage(), key.key_spec()) {
            (Some(KeyUsageType::EncryptDecrypt), Some(KeySpec::SymmetricDefault) | None) => Some(KeyUse::Encrypt),
            (Some(KeyUsageType::SignVerify), Some(KeySpec::EccNistP384)) => Some(KeyUse::Sign),
            _ => None,
        };
        Ok(Some(FoundKey {
            pending_deletion: key.key_state() == Some(&KeyState::PendingDeletion),
            disabled: key.key_state() == Some(&KeyState::Disabled),
            description: key.description.unwrap_or_default(),
            arn: key.arn.ok_or(Error::Incomplete { call: CALL, what: "ARN" })?,
            usage,
        }))
    }

    /// A key's policy.
    ///
    /// # Errors
    /// The call's failure, or [`Error::Policy`] for what is no JSON.
    pub async fn key_policy(&self, arn: &str) -> Result<Value> {
        const CALL: &str = "kms:GetKeyPolicy";
        let answer = self.kms.get_key_policy().key_id(arn).send().await.map_err(refused(CALL))?;
        let policy = answer.policy.ok_or(Error::Incomplete { call: CALL, what: "policy" })?;
        serde_json::from_str(&policy).map_err(|_| Error::Policy { what: arn.to_owned(), problem: "it is not JSON" })
    }

    /// The public half of a signing key, as SubjectPublicKeyInfo in PEM (RFC 7468).
    ///
    /// # Errors
    /// The call's failure.
    pub async fn public_key(&self, name: &str) -> Result<String> {
        const CALL: &str = "kms:GetPublicKey";
        const LINE: usize = 64;
        let missing = || Error::Conflict(format!("there is no key {name} in {} {}", self.id, self.region));
        let arn = self.find_key(name).await?.ok_or_else(missing)?.arn;
        let answer = self.kms.get_public_key().key_id(arn).send().await.map_err(refused(CALL))?;
        let der = answer.public_key.ok_or(Error::Incomplete { call: CALL, what: "public key" })?;
        let text = base64::engine::general_purpose::STANDARD.encode(der);
        let lines: Vec<_> = text.as_bytes().chunks(LINE).map(String::from_utf8_lossy).collect();
        Ok(format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", lines.join("\n")))
    }

    /// What has to change for the key to be as it should, and the key where it is there.
    ///
    /// # Errors
    /// A call's failure; [`Error::Conflict`] for an alias of another kind of key.
    pub async fn plan_key(&self, wish: &KeyWish, undo: &str) -> Result<(Plan, Option<FoundKey>)> {
        let mut plan = Plan::default();
        let behind_alias = self.find_key(&wish.alias).await?;
        let found = match (&behind_alias, &wish.adopt) {
            (Some(key), Some(adopt)) if key.arn != *adopt => {
                return Err(Error::Conflict(format!(
                    "{} is the alias of {} already, and not of {adopt}",
                    wish.alias, key.arn
                )));
            }
            (Some(key), _) => key.clone(),
            (None, Some(adopt)) => {
                let missing = || Error::Conflict(format!("there is no key {adopt} in {}", self.region));
                self.find_key(adopt).await?.ok_or_else(missing)?
            }
            (None, None) => {
                let after = json!({"description": wish.description, "rotation": wish.usage == KeyUse::Encrypt, "policy": wish.policy});
                let call = KeyCall::Create {
                    alias: wish.alias.clone(),
                    description: wish.description.clone(),
                    usage: wish.usage,
                    policy: wish.policy.clone(),
                };
                let change = self.change(Action::Create, &wish.alias, Value::Null, after, undo);
                plan.push(Call::Key(call), Change { called: Some(wish.called), ..change });
                return Ok((plan, None));
            }
        };
        if found.usage != Some(wish.usage) {
            return Err(Error::Conflict(format!("{} is a key for something else than {:?}", found.arn, wish.usage)));
        }
        self.plan_mending(&mut plan, wish, &found, behind_alias.is_none()).await?;
        Ok((plan, Some(found)))
    }

    async fn plan_mending(&self, plan: &mut Plan, wish: &KeyWish, found: &FoundKey, nameless: bool) -> Result<()> {
        let arn = found.arn.clone();
        let mut update = |call: KeyCall, [before, after]: [Value; 2], undo: &str| {
            plan.push(Call::Key(call), self.change(Action::Update, &arn, before, after, undo));
        };
        if found.pending_deletion {
            let undo = format!("aws kms schedule-key-deletion --key-id {arn} --pending-window-in-days {DELETION_DAYS}");
            let states = ["pending", "cancelled"].map(|state| json!({"deletion": state}));
            update(KeyCall::Keep { arn: arn.clone() }, states, &undo);
        }
        if found.disabled {
            let undo = format!("aws kms disable-key --key-id {arn}");
            update(
                KeyCall::Enable { arn: arn.clone() },
                [false, true].map(|enabled| json!({"enabled": enabled})),
                &undo,
            );
        }
        if found.description != wish.description {
            let texts = [&found.description, &wish.description].map(|text| json!({"description": text}));
            let undo =
                format!("aws kms update-key-description --key-id {arn} --description {}", quoted(&found.description));
            update(KeyCall::Describe { arn: arn.clone(), description: wish.description.clone() }, texts, &undo);
        }
        if wish.usage == KeyUse::Encrypt && !found.pending_deletion && !self.rotates(&arn).await? {
            let undo = format!("aws kms disable-key-rotation --key-id {arn}");
            update(KeyCall::Rotate { arn: arn.clone() }, [false, true].map(|on| json!({"rotation": on})), &undo);
        }
        if nameless {
            let undo = format!("aws kms delete-alias --alias-name {}", wish.alias);
            let change = self.change(Action::Create, &wish.alias, Value::Null, json!({"key": arn}), &undo);
            plan.push(Call::Key(KeyCall::Alias { alias: wish.alias.clone(), arn: arn.clone() }), change);
        }
        Ok(())
    }

    async fn rotates(&self, arn: &str) -> Result<bool> {
        let answer = self.kms.get_key_rotation_status().key_id(arn).send().await;
        Ok(answer.map_err(refused("kms:GetKeyRotationStatus"))?.key_rotation_enabled)
    }

    /// What has to change for a key to have that policy, with every opening of it that asks for no enclave as a warning.
    /// Without a command that takes it back, that is the one which puts the policy of before in its place.
    pub fn plan_policy(&self, arn: &str, before: &Value, after: &Value, undo: Option<&str>) -> Plan {
        let mut plan = Plan { warnings: warnings(after), ..Plan::default() };
        if !difference(before, after).is_empty() {
            let policy = quoted(&before.to_string());
            let put = format!("aws kms put-key-policy --key-id {arn} --policy-name default --policy {policy}");
            let undo = undo.map_or(put, str::to_owned);
            let change = self.change(Action::Update, arn, before.clone(), after.clone(), &undo);
            plan.push(Call::Key(KeyCall::Policy { arn: arn.to_owned(), policy: after.clone() }), change);
        }
        plan
    }

    /// What has to change for a key and its alias to be gone: the key can be had back for [`DELETION_DAYS`]. A key that was not made here loses its alias alone.
    ///
    /// # Errors
    /// A call's failure.
    pub async fn plan_key_deletion(&self, alias: &str, undo: &str) -> Result<Plan> {
        let mut plan = Plan::default();
        let Some(found) = self.find_key(alias).await? else { return Ok(plan) };
        if !self.is_ours(&found.arn).await? {
            plan.warnings.push(format!("{} was not made by this command and stays; it loses its alias", found.arn));
        } else if !found.pending_deletion {
            let before = json!({"description": found.description});
            let after = json!({"deletion": format!("in {DELETION_DAYS} days")});
            let change = self.change(Action::Remove, &found.arn, before, after, undo);
            plan.push(Call::Key(KeyCall::Delete { arn: found.arn.clone() }), change);
            plan.warnings.push(format!(
                "what is sealed under {} can no longer be opened by any enclave that starts from then on",
                found.arn
            ));
        }
        let change = self.change(Action::Remove, alias, json!({"key": found.arn}), Value::Null, undo);
        plan.push(Call::Key(KeyCall::Unalias { alias: alias.to_owned() }), change);
        Ok(plan)
    }

    /// Whether [`Account::apply`] made the key.
    async fn is_ours(&self, arn: &str) -> Result<bool> {
        let answer = self.kms.list_resource_tags().key_id(arn).send().await.map_err(refused("kms:ListResourceTags"))?;
        Ok(answer.tags().iter().any(|tag| tag.tag_key() == MADE_BY && tag.tag_value() == US))
    }

    pub(crate) fn change(&self, action: Action, resource: &str, before: Value, after: Value, undo: &str) -> Change {
        let place = format!("{} in {} {}", resource, self.id, self.region);
        let resource = if resource.starts_with("arn:") { resource.to_owned() } else { place };
        Change { action, resource, before, after, undo: format!("{undo} --region {}", self.region), called: None }
    }

    pub(crate) async fn apply_key(&self, call: &KeyCall) -> Result<Option<String>> {
        match call {
            KeyCall::Create { alias, description, usage, policy } => {
                return self.create_key(alias, description, *usage, policy).await.map(Some);
            }
            KeyCall::Alias { alias, arn } => self.alias(alias, arn).await?,
            KeyCall::Unalias { alias } => {
                self.kms.delete_alias().alias_name(alias).send().await.map_err(refused("kms:DeleteAlias"))?;
            }
            KeyCall::Describe { arn, description } => {
                let call = self.kms.update_key_description().key_id(arn).description(description);
                call.send().await.map_err(refused("kms:UpdateKeyDescription"))?;
            }
            KeyCall::Rotate { arn } => self.rotate(arn).await?,
            KeyCall::Enable { arn } => {
                self.kms.enable_key().key_id(arn).send().await.map_err(refused("kms:EnableKey"))?;
            }
            KeyCall::Keep { arn } => {
                self.kms.cancel_key_deletion().key_id(arn).send().await.map_err(refused("kms:CancelKeyDeletion"))?;
                // A key that comes back is disabled.
                self.kms.enable_key().key_id(arn).send().await.map_err(refused("kms:EnableKey"))?;
            }
            KeyCall::Delete { arn } => {
                let call = self.kms.schedule_key_deletion().key_id(arn).pending_window_in_days(DELETION_DAYS);
                call.send().await.map_err(refused("kms:ScheduleKeyDeletion"))?;
            }
            KeyCall::Policy { arn, policy } => {
                let call = self.kms.put_key_policy().key_id(arn).policy_name("default").policy(policy.to_string());
                let put = async || call.clone().send().await.map_err(refused("kms:PutKeyPolicy"));
                once_known(policy, put).await?;
            }
        }
        Ok(None)
    }

    async fn create_key(&self, alias: &str, description: &str, usage: KeyUse, policy: &Value) -> Result<String> {
        const CALL: &str = "kms:CreateKey";
        let (spec, kind) = match usage {
            KeyUse::Encrypt => (KeySpec::SymmetricDefault, KeyUsageType::EncryptDecrypt),
            KeyUse::Sign => (KeySpec::EccNistP384, KeyUsageType::SignVerify),
        };
        let tag = Tag::builder().tag_key(MADE_BY).tag_value(US).build();
        let tag = tag.map_err(|_| Error::Incomplete { call: CALL, what: "tag" })?;
        let call = self.kms.create_key().description(description).key_spec(spec).key_usage(kind).tags(tag);
        let call = call.policy(policy.to_string());
        let answer = once_known(policy, async || call.clone().send().await.map_err(refused(CALL))).await?;
        let arn = answer.key_metadata.and_then(|key| key.arn).ok_or(Error::Incomplete { call: CALL, what: "ARN" })?;
        let half_made = |source| Error::HalfMade { arn: arn.clone(), source: Box::new(source) };
        self.alias(alias, &arn).await.map_err(half_made)?;
        if usage == KeyUse::Encrypt {
            self.rotate(&arn).await.map_err(half_made)?;
        }
        Ok(arn)
    }

    async fn alias(&self, alias: &str, arn: &str) -> Result<()> {
        let call = self.kms.create_alias().alias_name(alias).target_key_id(arn);
        call.send().await.map(drop).map_err(refused("kms:CreateAlias"))
    }

    async fn rotate(&self, arn: &str) -> Result<()> {
        self.kms.enable_key_rotation().key_id(arn).send().await.map(drop).map_err(refused("kms:EnableKeyRotation"))
    }
}

/// Makes a call that carries a key policy, and again while KMS does not know a role that it names: one that was made a moment ago is not known
/// everywhere at once.
async fn once_known<T>(policy: &Value, call: impl AsyncFn() -> Result<T>) -> Result<T> {
    let mut tries = 1;
    loop {
        match call().await {
            Err(Error::Refused { code, said, .. })
                if code.starts_with("MalformedPolicyDocument") && said.contains("rincipal") =>
            {
                if tries == PRINCIPAL_TRIES {
                    return Err(Error::UnknownPrincipal { principals: principals(policy).join(", "), said });
                }
                tries += 1;
                tokio::time::sleep(PRINCIPAL_PAUSE).await;
            }
            outcome => return outcome,
        }
    }
}

/// A text as one word of a shell's.
pub(crate) fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "'\\''"))
}
