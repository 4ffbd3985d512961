//! The data owner: a key of its own, and the command line in its hands.

use std::collections::BTreeMap;
use std::process::Command;

use crate::parent::PARENT;
use crate::process::binary;
use crate::world::{KMS_CA, World, endpoint};

/// The owner's credentials of the simulated KMS.
const DATA_OWNER: [(&str, &str); 2] =
    [("AWS_ACCESS_KEY_ID", "CLOISTERSIMDATAOWNER"), ("AWS_SECRET_ACCESS_KEY", "simulated-secret-of-the-data-owner")];

impl World {
    /// Lets the parent's role use the data owner's key from an enclave with these PCRs, as the key's owner would.
    pub fn open_data_key_for(&self, pcrs: &BTreeMap<u16, [u8; 48]>) {
        self.kms.put_key_policy(&self.data_key_arn, &data_key_policy(pcrs)).expect("a policy");
    }

    /// One more key of the data owner's, which no configuration lists.
    pub fn another_data_key(&self) -> String {
        let pcrs = &self.policy.accept()[0].pcrs;
        self.kms.create_key("444455556666", &data_key_policy(pcrs)).expect("a key")
    }

    /// The command line in the hands of the data owner, with this world's KMS.
    pub fn data_owner(&self, verb: [&str; 2]) -> Command {
        let mut command = Command::new(binary("cloister"));
        command.args(verb).args(["--endpoint", &endpoint(&self.kms)]).arg("--ca").arg(self.folder().join(KMS_CA));
        command.envs(DATA_OWNER);
        command
    }

    /// The same with the credentials that the parent hands out.
    pub fn parent_as_owner(&self, verb: [&str; 2]) -> Command {
        let mut command = self.data_owner(verb);
        command.envs(PARENT);
        command
    }
}

/// The policy of docs/sealed-requests.md.
pub(crate) fn data_key_policy(pcrs: &BTreeMap<u16, [u8; 48]>) -> String {
    let measured: BTreeMap<_, _> = pcrs
        .iter()
        .map(|(index, value)| (format!("kms:RecipientAttestation:PCR{index}"), hex::encode(value)))
        .collect();
    serde_json::json!({"Version": "2012-10-17", "Statement": [
        {"Sid": "administration", "Effect": "Allow", "Principal": {"AWS": "arn:aws:iam::444455556666:role/key-administrator"},
         "Resource": "*", "Action": ["kms:DescribeKey", "kms:GetKeyPolicy", "kms:PutKeyPolicy"]},
        {"Sid": "data-owner", "Effect": "Allow", "Principal": {"AWS": "arn:aws:iam::444455556666:role/data-owner"}, "Resource": "*",
         "Action": ["kms:GenerateDataKey", "kms:Decrypt"],
         "Condition": {"StringEquals": {"kms:EncryptionContext:cloister:purpose": "image"}}},
        {"Sid": "enclave", "Effect": "Allow", "Principal": {"AWS": "arn:aws:iam::444455556666:role/cloister-parent"}, "Resource": "*",
         "Action": "kms:Decrypt",
         "Condition": {"StringEquals": {"kms:EncryptionContext:cloister:purpose": "image"}, "StringEqualsIgnoreCase": measured}},
    ]})
    .to_string()
}
