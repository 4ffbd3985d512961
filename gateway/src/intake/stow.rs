//! STOW-RS (PS3.18, section 10.5): a PACS sends instances, and reads of each whether it was taken.

use axum::body::Body;
use http::HeaderMap;
use serde_json::{Value, json};

use super::look::instance;
use super::parts::{Parts, discard};
use super::{Image, Looked, NotTaken, Refused, gather, looked};
use crate::access::Caller;
use crate::gateway::Gateway;
use crate::spool::Spooled;
use crate::worklist::Source;
use crate::{Error, limits};

/// SOP Class and Instance UID, as far as a file says them.
type Names = (Option<String>, Option<String>);

/// Failure Reasons (PS3.18, table I.2-2, and PS3.4, table B.2-1).
mod reason {
    pub(super) const PROCESSING: u16 = 0x0110;
    pub(super) const SOP_CLASS: u16 = 0x0122;
    pub(super) const OUT_OF_RESOURCES: u16 = 0xA700;
    pub(super) const OTHER_STUDY: u16 = 0xA900;
    pub(super) const NOT_UNDERSTOOD: u16 = 0xC000;
}

/// What became of the instances.
#[derive(Default)]
pub(crate) struct Stored {
    referenced: Vec<Value>,
    failed: Vec<Value>,
}

impl Stored {
    /// 200 where all were taken, 202 where some were, 409 where none was.
    pub(crate) fn status(&self) -> u16 {
        match (self.referenced.is_empty(), self.failed.is_empty()) {
            (_, true) => 200,
            (false, false) => 202,
            (true, false) => 409,
        }
    }

    /// The Store Instances Response Module (PS3.18, table I.1-1), in DICOM's JSON.
    pub(crate) fn json(self) -> Value {
        let mut answer = json!({});
        for (tag, items) in [("00081199", self.referenced), ("00081198", self.failed)] {
            if !items.is_empty() {
                answer[tag] = json!({"vr": "SQ", "Value": items});
            }
        }
        answer
    }

    fn add(&mut self, (class, instance): Names, failure: Option<u16>) {
        let mut item = json!({});
        for (tag, uid) in [("00081150", class), ("00081155", instance)] {
            item[tag] = match uid {
                Some(uid) => json!({"vr": "UI", "Value": [uid]}),
                None => json!({"vr": "UI"}),
            };
        }
        match failure {
            Some(reason) => {
                item["00081197"] = json!({"vr": "US", "Value": [reason]});
                self.failed.push(item);
            }
            None => self.referenced.push(item),
        }
    }
}

/// Takes the instances of one request.
pub(crate) async fn take(
    gateway: &Gateway,
    caller: &Caller,
    study: Option<&str>,
    headers: &HeaderMap,
    body: Body,
) -> Result<Stored, Refused> {
    let (_place, boundary) = match super::admit(gateway, headers, "related").await {
        Ok(admitted) => admitted,
        Err(refused) => return Err(discard(body, refused).await),
    };
    let mut parts = Parts::new(body, boundary, limits::MAX_STOW_BYTES);
    match each(gateway, caller, study, &mut parts).await {
        Ok(stored) => Ok(stored),
        Err(refused) => Err(parts.discard(refused).await),
    }
}

async fn each(gateway: &Gateway, caller: &Caller, study: Option<&str>, parts: &mut Parts) -> Result<Stored, Refused> {
    let mut stored = Stored::default();
    let mut count = 0;
    while let Some(field) = parts.next().await? {
        count += 1;
        if count > limits::MAX_STOW_INSTANCES {
            return Err(Refused::TooManyFiles);
        }
        let file = parts.spool(&gateway.spool, field).await?;
        let (file, names) = named(file).await?;
        let (file, looked) = looked(gateway, file).await?;
        let failure = match admitted(looked, study) {
            Err(reason) => Some(reason),
            Ok((looked, study)) => {
                let label = looked.dicom.as_ref().and_then(|dicom| dicom.accession_number.clone());
                let image = Image {
                    file,
                    looked,
                    name: format!("study {study}"),
                    label: label.unwrap_or_else(|| "study".to_owned()),
                    source: Source::Stow,
                    agent: caller.agent(),
                    by: caller.name(),
                };
                failure(gather(gateway, image).await)?
            }
        };
        stored.add(names, failure);
    }
    if count == 0 { Err(Refused::NoFiles) } else { Ok(stored) }
}

/// SOP Class and Instance UID of a file.
async fn named(file: Spooled) -> Result<(Spooled, Names), Error> {
    tokio::task::spawn_blocking(move || {
        let names = instance(&file.read()?);
        Ok((file, names))
    })
    .await
    .map_err(|_| Error::Worker)?
}

/// A mammogram of the study that the request is about, and that study.
fn admitted(looked: Result<Looked, NotTaken>, study: Option<&str>) -> Result<(Looked, String), u16> {
    let looked = looked.map_err(|not| if not.other_kind { reason::SOP_CLASS } else { reason::NOT_UNDERSTOOD })?;
    let own = looked.dicom.as_ref().map(|dicom| dicom.study_uid.clone()).ok_or(reason::NOT_UNDERSTOOD)?;
    if study.is_some_and(|study| study != own) { Err(reason::OTHER_STUDY) } else { Ok((looked, own)) }
}

/// What is an answer about one instance, and what ends the request.
fn failure(taken: Result<super::Taken, Refused>) -> Result<Option<u16>, Refused> {
    match taken {
        Ok(_) => Ok(None),
        Err(Refused::Full) => Ok(Some(reason::OUT_OF_RESOURCES)),
        Err(Refused::Twice(_) | Refused::View(_)) => Ok(Some(reason::PROCESSING)),
        Err(other) => Err(other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_answer_says_of_each_instance_whether_it_was_taken() {
        let names = |number: u8| (Some("1.2.3".to_owned()), Some(format!("1.2.3.{number}")));
        let mut stored = Stored::default();
        stored.add(names(1), None);
        assert_eq!(stored.status(), 200);
        stored.add(names(2), Some(reason::SOP_CLASS));
        assert_eq!(stored.status(), 202);
        let answer = stored.json();
        assert_eq!(answer["00081199"]["Value"][0]["00081155"], json!({"vr": "UI", "Value": ["1.2.3.1"]}));
        assert_eq!(answer["00081198"]["Value"][0]["00081197"], json!({"vr": "US", "Value": [290]}));
        let mut none = Stored::default();
        none.add((None, None), Some(reason::NOT_UNDERSTOOD));
        assert_eq!(none.status(), 409);
        assert_eq!(none.json()["00081198"]["Value"][0]["00081155"], json!({"vr": "UI"}));
    }
}
