//! A bucket's prefix that is watched: each object that is new is taken once, gathered by study, and nothing in the bucket is changed.

use std::time::Duration;

use aws_sdk_s3::Client;
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use cloister_aws_http::{Egress, Roots};
use tokio::time::sleep;

use super::{Image, Refused, gather, looked};
use crate::audit::Agent;
use crate::config::Bucket;
use crate::gateway::Gateway;
use crate::worklist::{Source, gathering};
use crate::{Error, files, limits};

/// Watches a bucket, for ever.
pub(crate) async fn serve(gateway: Gateway, bucket: Bucket) {
    let every = bucket.every_seconds.map_or(limits::INTAKE_INTERVAL, Duration::from_secs).max(limits::INTAKE_INTERVAL);
    let client = match client(&bucket).await {
        Ok(client) => client,
        Err(error) => return tracing::error!(%error, "the bucket cannot be watched"),
    };
    loop {
        if let Err(error) = one_look(&gateway, &bucket, &client).await {
            tracing::warn!(error = error.nameless(), "the bucket cannot be looked at");
        }
        sleep(every).await;
    }
}

async fn client(bucket: &Bucket) -> Result<Client, Error> {
    let failed = |error: cloister_aws_http::Error| Error::Bucket(error.to_string());
    let http = cloister_aws_http::client(Egress::Direct, Roots::WebPki).map_err(failed)?;
    let region = aws_sdk_s3::config::Region::new(bucket.region.clone());
    let aws = aws_config::defaults(aws_config::BehaviorVersion::latest()).region(region).http_client(http).load().await;
    let mut config = aws_sdk_s3::config::Builder::from(&aws);
    let roots = bucket.ca.as_deref().map(files::text).transpose()?.map_or(Roots::WebPki, Roots::Pem);
    let objects = cloister_aws_http::objects(Egress::Direct, roots, limits::MAX_OBJECT_BYTES).map_err(failed)?;
    config = config.http_client(objects);
    if let Some(endpoint) = &bucket.endpoint {
        config = config.endpoint_url(endpoint).force_path_style(true);
    }
    Ok(Client::from_conf(config.build()))
}

/// Looks at all objects under the prefix, page by page.
async fn one_look(gateway: &Gateway, bucket: &Bucket, client: &Client) -> Result<(), Error> {
    let mut next = None;
    loop {
        let listed = client
            .list_objects_v2()
            .bucket(&bucket.name)
            .prefix(&bucket.prefix)
            .max_keys(i32::try_from(limits::MAX_OBJECTS).unwrap_or(i32::MAX))
            .set_continuation_token(next)
            .send()
            .await
            .map_err(|error| Error::Bucket(code(&error).to_owned()))?;
        for object in listed.contents() {
            let (Some(key), Some(tag)) = (object.key(), object.e_tag()) else { continue };
            let size = u64::try_from(object.size().unwrap_or_default()).unwrap_or_default();
            if key.ends_with('/') || size == 0 {
                continue;
            }
            if super::room(gateway).await.is_err() || !one(gateway, bucket, client, key, tag, size).await? {
                return Ok(());
            }
        }
        next = listed.next_continuation_token().map(str::to_owned);
        if next.is_none() {
            return Ok(());
        }
    }
}

/// Takes one object, unless that was done before. Tells whether there is room for more.
async fn one(
    gateway: &Gateway,
    bucket: &Bucket,
    client: &Client,
    key: &str,
    tag: &str,
    size: u64,
) -> Result<bool, Error> {
    let origin = format!("s3 {} {key} {tag}", bucket.name);
    let seen = origin.clone();
    if gateway.worklist.with(move |list| gathering::is_seen(list, &seen)).await? {
        return Ok(true);
    }
    let taken =
        if size > limits::MAX_IMAGE_BYTES { Err(Refused::TooLarge) } else { take(gateway, bucket, client, key).await };
    match taken {
        Ok(()) => {}
        Err(Refused::Full) => return Ok(false),
        // Keys may have names in them.
        Err(Refused::Disk(error)) => {
            // The others are not to wait for it, and it is tried again at the next look.
            tracing::warn!(error = error.nameless(), "an object cannot be taken now");
            return Ok(true);
        }
        Err(refused) => tracing::warn!(reason = %crate::http::sentence(&refused), "an object is not taken"),
    }
    gateway.worklist.with(move |list| gathering::see(list, &origin)).await?;
    Ok(true)
}

/// What went wrong, without what was asked for.
fn code<E: ProvideErrorMetadata>(error: &SdkError<E>) -> &str {
    match error {
        SdkError::ServiceError(refused) => refused.err().code().unwrap_or("it was refused without a code"),
        SdkError::TimeoutError(_) => "there was no answer in time",
        SdkError::DispatchFailure(_) => "there is no connection",
        SdkError::ResponseError(_) => "the answer is not understood",
        _ => "the request cannot be made",
    }
}

async fn take(gateway: &Gateway, bucket: &Bucket, client: &Client, key: &str) -> Result<(), Refused> {
    let failed = |error: &str| Refused::Disk(Error::Bucket(error.to_owned()));
    let object = client.get_object().bucket(&bucket.name).key(key).send().await;
    let object = object.map_err(|error| failed(code(&error)))?;
    let bytes = object.body.collect().await.map_err(|_| failed("the object broke off"))?.into_bytes();
    let file = gateway.spool.take(&bytes).await?;
    drop(bytes);
    let (file, looked) = looked(gateway, file).await?;
    let looked = looked.map_err(|not| Refused::NotAnImage(not.sentence))?;
    let dicom = looked.dicom.clone();
    let dicom = dicom.ok_or_else(|| Refused::View("a bucket's PNG file has no view".to_owned()))?;
    let image = Image {
        file,
        looked,
        name: format!("study {}", dicom.study_uid),
        label: dicom.accession_number.unwrap_or_else(|| "study".to_owned()),
        source: Source::Bucket,
        agent: Agent::Gateway,
        by: None,
    };
    gather(gateway, image).await.map(drop)
}
