//! Signatures that others verify, and others' that are verified here.
#![allow(clippy::unwrap_used, reason = "a helper of a test fails as the test does")]

mod support;

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use base64::Engine;
use cloister_oci::cosign::{KeyFile, PublicKey, SIGNATURE, SIMPLE_SIGNING, Scheme, Signer, ToSign, sign, verify};
use cloister_oci::manifest::Manifest;
use cloister_oci::{Attachment, Digest, Error, Layout, Login, PullLimits, Push, Registry, Taken};
use support::registry::{PASSWORD, USER, plain};
use support::{run, tool};

/// A key of openssl's: private and public in PEM.
fn key(folder: &Path, curve: &str) -> (Vec<u8>, Vec<u8>) {
    let (private, public) = (folder.join(format!("{curve}.key")), folder.join(format!("{curve}.pub")));
    let openssl = tool("openssl");
    let option = format!("ec_paramgen_curve:{curve}");
    run(Command::new(&openssl).args(["genpkey", "-algorithm", "EC", "-pkeyopt", &option, "-out"]).arg(&private));
    run(Command::new(&openssl).args(["pkey", "-pubout", "-in"]).arg(&private).arg("-out").arg(&public));
    (std::fs::read(private).unwrap(), std::fs::read(public).unwrap())
}

fn what(image: Digest) -> ToSign<'static> {
    ToSign { image, docker_reference: "r.example/cloister/model", optional: BTreeMap::new() }
}

#[tokio::test]
async fn openssl_verifies_what_is_signed_in_cosigns_form() {
    let folder = tempfile::tempdir().unwrap();
    let image = Digest::of(b"image");
    for (curve, hash, scheme) in [("P-256", "-sha256", Scheme::P256Sha256), ("P-384", "-sha384", Scheme::P384Sha384)] {
        let (private, public) = key(folder.path(), curve);
        let mut layout = Layout::temporary().unwrap();
        let signer = KeyFile::from_pem(&private).unwrap();
        let signed = sign(&mut layout, &what(image), None, &signer).await.unwrap();
        assert_eq!(layout.choose(Some(&Attachment::Signature.tag(&image))).unwrap(), signed);

        let manifest = layout.manifest(&signed).unwrap();
        assert_eq!(manifest.layers.len(), 1);
        assert_eq!(manifest.layers[0].media_type, SIMPLE_SIGNING);
        let payload = layout.read(&manifest.layers[0], 10_000).unwrap();
        let expected = format!(
            "{{\"critical\":{{\"identity\":{{\"docker-reference\":\"r.example/cloister/model\"}},\"image\":\
             {{\"docker-manifest-digest\":\"{image}\"}},\"type\":\"cosign container image signature\"}},\"optional\":null}}"
        );
        assert_eq!(String::from_utf8(payload.clone()).unwrap(), expected);
        let signature = &manifest.layers[0].annotations[SIGNATURE];
        let signature = base64::engine::general_purpose::STANDARD.decode(signature).unwrap();
        let (message, detached, key) = (folder.path().join("m"), folder.path().join("s"), folder.path().join("k"));
        std::fs::write(&message, payload).unwrap();
        std::fs::write(&detached, signature).unwrap();
        std::fs::write(&key, &public).unwrap();
        run(Command::new(tool("openssl"))
            .args(["dgst", hash, "-verify"])
            .arg(&key)
            .arg("-signature")
            .arg(&detached)
            .arg(&message));

        let public = PublicKey::from_pem(&public).unwrap();
        assert_eq!(&public, signer.public_key());
        let verified = verify(&layout, &signed, &public, &image).unwrap();
        assert_eq!((verified.docker_reference.as_str(), verified.scheme), ("r.example/cloister/model", scheme));
        let error = verify(&layout, &signed, &public, &Digest::of(b"other")).unwrap_err();
        assert!(matches!(&error, Error::NotSigned { reasons, .. } if reasons.contains("is for")), "{error}");
    }
}

#[tokio::test]
async fn what_openssl_signs_is_verified_also_with_sha_256_on_p_384() {
    let folder = tempfile::tempdir().unwrap();
    let image = Digest::of(b"image");
    // As cosign writes it, with a member that we do not know.
    let payload = format!(
        r#"{{"critical":{{"identity":{{"docker-reference":"r.example/a"}},"image":{{"docker-manifest-digest":"{image}"}},"type":"cosign container image signature"}},"optional":{{"commit":"abc"}}}}"#
    );
    let message = folder.path().join("message");
    std::fs::write(&message, &payload).unwrap();
    for (curve, hash, scheme) in [
        ("P-256", "-sha256", Scheme::P256Sha256),
        ("P-384", "-sha256", Scheme::P384Sha256),
        ("P-384", "-sha384", Scheme::P384Sha384),
    ] {
        let (_, public) = key(folder.path(), curve);
        let private = folder.path().join(format!("{curve}.key"));
        let signature =
            run(Command::new(tool("openssl")).args(["dgst", hash, "-sign"]).arg(private).arg(&message)).stdout;
        let mut layout = Layout::temporary().unwrap();
        let signed = image_of(&mut layout, &payload, &signature);
        let verified = verify(&layout, &signed, &PublicKey::from_pem(&public).unwrap(), &image).unwrap();
        assert_eq!((verified.scheme, verified.optional["commit"].as_str()), (scheme, Some("abc")));
    }
}

fn image_of(layout: &mut Layout, payload: &str, signature: &[u8]) -> Digest {
    let mut layer = layout.add_bytes(SIMPLE_SIGNING, payload.as_bytes()).unwrap();
    let signature = base64::engine::general_purpose::STANDARD.encode(signature);
    layer.annotations.insert(SIGNATURE.to_owned(), signature);
    let config = layout.add_bytes("application/vnd.oci.image.config.v1+json", b"{}").unwrap();
    layout.add_manifest(&serde_json::to_vec(&Manifest::new(config, vec![layer])).unwrap(), None).unwrap()
}

#[tokio::test]
async fn one_valid_signature_of_several_is_enough_and_another_key_is_none() {
    let folder = tempfile::tempdir().unwrap();
    let image = Digest::of(b"image");
    let (first, first_public) = key(folder.path(), "P-256");
    let (second, second_public) = key(folder.path(), "P-384");
    let mut layout = Layout::temporary().unwrap();
    let one = sign(&mut layout, &what(image), None, &KeyFile::from_pem(&first).unwrap()).await.unwrap();
    let error = verify(&layout, &one, &PublicKey::from_pem(&second_public).unwrap(), &image).unwrap_err();
    assert!(matches!(error, Error::NotSigned { count: 1, .. }), "{error}");

    let second = KeyFile::from_pem(&second).unwrap();
    let two = sign(&mut layout, &what(image), Some(&one), &second).await.unwrap();
    for public in [&first_public, &second_public] {
        verify(&layout, &two, &PublicKey::from_pem(public).unwrap(), &image).unwrap();
    }
    // Signing again adds nothing.
    assert_eq!(sign(&mut layout, &what(image), Some(&two), &second).await.unwrap(), two);
}

#[tokio::test]
async fn a_payload_of_another_form_is_no_signature_even_of_the_right_key() {
    let folder = tempfile::tempdir().unwrap();
    let (_, public) = key(folder.path(), "P-256");
    let image = Digest::of(b"image");
    let other = format!(
        r#"{{"critical":{{"identity":{{"docker-reference":""}},"image":{{"docker-manifest-digest":"{image}"}},"type":"atomic container signature"}}}}"#
    );
    for payload in [other.as_str(), "{}", "hello"] {
        let message = folder.path().join("message");
        std::fs::write(&message, payload).unwrap();
        let private = folder.path().join("P-256.key");
        let signature =
            run(Command::new(tool("openssl")).args(["dgst", "-sha256", "-sign"]).arg(private).arg(&message)).stdout;
        let mut layout = Layout::temporary().unwrap();
        let signed = image_of(&mut layout, payload, &signature);
        let error = verify(&layout, &signed, &PublicKey::from_pem(&public).unwrap(), &image).unwrap_err();
        assert!(error.to_string().contains("not of cosign's form"), "{error}");
    }
}

/// Debian builds skopeo without its own check of these signatures.
#[tokio::test]
async fn a_signature_is_found_beside_its_image_and_skopeo_reads_it() {
    let docker = plain();
    let folder = tempfile::tempdir().unwrap();
    let (private, public) = key(folder.path(), "P-384");
    let login = Arc::new(Login { user: USER.to_owned(), password: PASSWORD.to_owned().into() });
    let registry = Registry::at(&docker.host()).unwrap().plain_http().unwrap().credentials(login).build().unwrap();
    let image = Digest::of(b"image");
    let mut layout = Layout::temporary().unwrap();
    let signed = sign(&mut layout, &what(image), None, &KeyFile::from_pem(&private).unwrap()).await.unwrap();
    let tag = Attachment::Signature.tag(&image);
    let push =
        Push { layout: &layout, image: signed, repository: "cloister/model", tag: Some(&tag), taken: Taken::Refuse };
    registry.push_image(&push).await.unwrap();
    let inspected = run(Command::new(tool("skopeo"))
        .args(["inspect", "--raw", "--tls-verify=false", "--creds", &format!("{USER}:{PASSWORD}")])
        .arg(format!("docker://{}/cloister/model:{tag}", docker.host())));
    assert_eq!(Digest::of(&inspected.stdout), signed);
    let mut back = Layout::temporary().unwrap();
    let pulled = registry.pull_image("cloister/model", &tag, &mut back, PullLimits::default()).await.unwrap();
    verify(&back, &pulled, &PublicKey::from_pem(&public).unwrap(), &image).unwrap();
}

#[test]
fn other_keys_are_refused() {
    assert!(matches!(PublicKey::from_pem(b"hello"), Err(Error::BadKey { .. })));
    assert!(matches!(PublicKey::from_der(&[0; 91]), Err(Error::BadKey { .. })));
    assert!(matches!(KeyFile::from_pem(b"hello"), Err(Error::BadKey { .. })));
    let folder = tempfile::tempdir().unwrap();
    let (private, public) = key(folder.path(), "P-521");
    assert!(matches!(PublicKey::from_pem(&public), Err(Error::BadKey { .. })));
    assert!(matches!(KeyFile::from_pem(&private), Err(Error::BadKey { .. })));
}
