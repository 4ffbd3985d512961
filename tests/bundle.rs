//! A site without internet: everything in one archive, checked, pushed into a registry of its own, and taken out again.

use cloister_tests::{Accounts, Party, run};
use serde_json::Value;

use Party::{Consumer, Provider};

const NOT_VERIFIED: i32 = 77;
const INPUT: i32 = 65;

#[tokio::test(flavor = "multi_thread")]
async fn a_release_goes_through_an_archive_into_a_private_registry() {
    let accounts = Accounts::start().await;
    accounts.json(Provider, "provider init");
    accounts.json(Provider, "provider public-key --out provider.pem");
    let package = accounts.package();
    accounts.build("first", &package);
    let (host, registry) = (accounts.host(Provider), accounts.registry(Provider));
    let parts = "--image first.tar --measurements first.json --policy first.toml --tag first";
    accounts.json(Provider, &format!("provider publish {parts} --root root.pem --registry {host} --ecr {registry}"));
    accounts.write("model.sealed", "a sealed model's bytes");
    std::fs::create_dir_all(accounts.path("manifests/overlays")).unwrap();
    accounts.write("manifests/overlays/kustomization.yaml", "resources: []\n");

    let save = |out: &str| {
        let files = "--key provider.pem --root root.pem --sealed model.sealed --manifests manifests";
        format!("bundle save --image {host}/cloister:first --ecr {registry} {files} --out {out}")
    };
    accounts.run(Provider, &save("bundle.tar")).success();
    accounts.run(Provider, &save("again.tar")).success();
    let [one, two] = ["bundle.tar", "again.tar"].map(|name| std::fs::read(accounts.path(name)).unwrap());
    assert!(one == two, "the same parts are the same bytes");
    // Checked by code that is not ours.
    let check = "mkdir unpacked && tar -C unpacked -xf bundle.tar && cd unpacked && sha256sum --quiet -c SHA256SUMS";
    run(std::process::Command::new("sh").args(["-c", check]).current_dir(accounts.path(""))).success();

    // The site's registry is another, with a user and a password.
    accounts.write("password", "444455556666-auth-token\n");
    let site = accounts.host(Consumer);
    let access = format!("--registry-user AWS --registry-password-file password {}", accounts.registry(Consumer));
    let at_site = |verb: &str| {
        format!(
            "bundle {verb} bundle.tar --prefix {site}/imaging --key provider.pem --root root.pem --out site {access}"
        )
    };
    let preview: Value = accounts.json(Consumer, &format!("{} --dry-run", at_site("load")));
    assert!(preview["images"].as_array().unwrap().iter().all(|image| image["changed"] == true));
    assert!(!accounts.path("site").exists(), "a preview writes nothing");
    let loaded = accounts.json(Consumer, &at_site("load"));
    assert_eq!(loaded["images"].as_array().unwrap().len(), 6, "{loaded}");
    for (name, content) in
        [("model.sealed", "a sealed model's bytes"), ("manifests/overlays/kustomization.yaml", "resources: []\n")]
    {
        assert_eq!(std::fs::read_to_string(accounts.path("site").join(name)).unwrap(), content);
    }
    let again = accounts.json(Consumer, &at_site("load"));
    assert!(again["images"].as_array().unwrap().iter().all(|image| image["changed"] == false), "{again}");
    assert_eq!(again["files"], serde_json::json!([]));
    let verify =
        format!("consumer verify-image {site}/imaging/cloister:first --key provider.pem --root root.pem {access}");
    accounts.run(Consumer, &verify).success();

    // Damage, and another's key.
    let mut damaged = one.clone();
    let middle = damaged.len() / 2;
    damaged[middle] ^= 1;
    accounts.write("damaged.tar", &damaged);
    let refused = accounts.run(Consumer, &at_site("load").replace("bundle.tar", "damaged.tar"));
    assert_eq!(refused.code, INPUT, "{}", refused.stderr);
    let key = "openssl ecparam -name secp384r1 -genkey -noout -out other.key && openssl ec -in other.key -pubout -out other.pem";
    run(std::process::Command::new("sh").args(["-c", key]).current_dir(accounts.path(""))).success();
    let refused = accounts.run(Consumer, &at_site("load").replace("provider.pem", "other.pem"));
    assert_eq!(refused.code, NOT_VERIFIED, "{}", refused.stderr);

    // Whoever carries the archive cannot have anything pushed or written that its owner did not sign.
    let forged = |name: &str, change: &str| {
        let script = format!(
            "rm -rf forged && cp -r unpacked forged && cd forged && {change} && rm SHA256SUMS \
             && find . -type f | sed 's|^./||' | sort | xargs sha256sum > ../sums && mv ../sums SHA256SUMS \
             && tar --format=ustar -cf ../{name} SHA256SUMS $(find . -type f ! -name SHA256SUMS | sed 's|^./||' | sort)"
        );
        run(std::process::Command::new("sh").args(["-c", &script]).current_dir(accounts.path(""))).success();
        accounts.run(Consumer, &at_site("load").replace("bundle.tar", name).replace("--out site", "--out forged-site"))
    };
    let as_other = "sed -i 's/\"release\": true/\"release\": false/' bundle.json";
    let outside = "sed -i 's|\"images/0\"|\"/tmp\"|' bundle.json";
    let nothing = "printf '{\"version\":1,\"images\":[]}' > bundle.json";
    for (name, change) in [("unsigned.tar", as_other), ("empty.tar", nothing)] {
        let refused = forged(name, change);
        assert_eq!(refused.code, NOT_VERIFIED, "{name}: {}", refused.stderr);
    }
    assert_eq!(forged("outside.tar", outside).code, INPUT);
    assert!(!accounts.path("forged-site").exists());
    forged("policy.tar", "echo 'an attacker’s' > policy.toml").success();
    let policy = std::fs::read_to_string(accounts.path("forged-site/policy.toml")).unwrap();
    assert_eq!(policy, std::fs::read_to_string(accounts.path("first.toml")).unwrap(), "the one that was signed");

    // What is there already is not overwritten by another.
    accounts.write("site/model.sealed", "another model");
    let kept = accounts.run(Consumer, &at_site("load"));
    assert_eq!(kept.code, INPUT, "{}", kept.stderr);
    assert_eq!(std::fs::read_to_string(accounts.path("site/model.sealed")).unwrap(), "another model");

    // And out again.
    accounts.json(Consumer, &at_site("unload"));
    let gone = accounts.run(Consumer, &verify);
    assert_ne!(gone.code, 0);
    let twice = accounts.json(Consumer, &at_site("unload"));
    assert!(twice["images"].as_array().unwrap().iter().all(|image| image["changed"] == false), "{twice}");
}
