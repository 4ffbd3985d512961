//! The proxy as the process that it is in a pod.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests")]

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use cloister_transport::{Address, connect_through, dial};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, Command};

const SOON: Duration = Duration::from_secs(10);

fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cloister-proxy"));
    command.args(arguments).stderr(Stdio::piped()).kill_on_drop(true);
    command
}

async fn announced(path: &Path) -> Address {
    let wait = async {
        loop {
            if let Ok(text) = std::fs::read_to_string(path) {
                return text.parse().unwrap();
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(SOON, wait).await.unwrap()
}

async fn terminate(mut child: Child) -> (i32, String) {
    let id = child.id().unwrap().to_string();
    assert!(Command::new("kill").args(["-TERM", &id]).status().await.unwrap().success());
    let status = tokio::time::timeout(SOON, child.wait()).await.unwrap().unwrap();
    let mut log = String::new();
    child.stderr.take().unwrap().read_to_string(&mut log).await.unwrap();
    (status.code().unwrap(), log)
}

#[tokio::test]
async fn it_says_where_it_listens_serves_there_and_ends_on_sigterm_with_0() {
    let dir = tempfile::tempdir().unwrap();
    let (list, address_file) = (dir.path().join("list.yaml"), dir.path().join("address"));
    std::fs::write(&list, "allowlist:\n- {address: kms.us-east-1.amazonaws.com, port: 443}\n").unwrap();
    let listen = format!("unix://{}", dir.path().join("egress").display());
    let (list, file) = (list.to_str().unwrap(), address_file.to_str().unwrap());
    let child = command(&["--listen", &listen, "--config", list, "--address-file", file]).spawn().unwrap();
    let address = announced(&address_file).await;
    assert_eq!(address.to_string(), listen);
    let refused = connect_through(&address, "example.org", 443, SOON).await;
    assert!(matches!(refused, Err(cloister_transport::Error::ProxyRefused { status: 403, .. })), "{refused:?}");
    let (code, log) = terminate(child).await;
    assert_eq!(code, 0, "{log}");
    assert!(log.contains(&format!("listening on {listen}")), "{log}");
}

#[tokio::test]
async fn it_takes_the_arguments_of_aws() {
    let dir = tempfile::tempdir().unwrap();
    let host = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = host.local_addr().unwrap().port().to_string();
    let (list, address_file) = (dir.path().join("list.yaml"), dir.path().join("address"));
    std::fs::write(&list, format!("allowlist:\n- {{address: 127.0.0.1, port: {port}}}\n")).unwrap();
    let (list, file) = (list.to_str().unwrap(), address_file.to_str().unwrap());
    let aws = ["8000", "127.0.0.1", &port, "--config", list, "-w", "20", "-4"];
    let ours = ["--listen", "tcp://127.0.0.1:0", "--address-file", file];
    let child = command(&[&aws[..], &ours[..]].concat()).spawn().unwrap();
    let mut client = dial(&announced(&address_file).await, SOON).await.unwrap();
    client.write_all(b"x").await.unwrap();
    let (mut served, _) = host.accept().await.unwrap();
    assert_eq!(served.read_u8().await.unwrap(), b'x');
    drop((client, served));
    assert_eq!(terminate(child).await.0, 0);
}

#[tokio::test]
async fn a_host_to_forward_to_that_is_not_listed_ends_it_at_once_with_the_reason() {
    let dir = tempfile::tempdir().unwrap();
    let list = dir.path().join("list.yaml");
    std::fs::write(&list, "allowlist: []\n").unwrap();
    let arguments = ["8000", "example.org", "443", "--listen", "tcp://127.0.0.1:0", "--config", list.to_str().unwrap()];
    let output = command(&arguments).output().await.unwrap();
    let log = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(65));
    assert!(log.contains("example.org:443 is not on the allowlist"), "{log}");
}

#[tokio::test]
async fn each_reason_not_to_start_has_its_exit_code() {
    let dir = tempfile::tempdir().unwrap();
    let (list, bad) = (dir.path().join("list.yaml"), dir.path().join("bad.yaml"));
    std::fs::write(&list, "allowlist: []\n").unwrap();
    std::fs::write(&bad, "allowlist: everything\n").unwrap();
    let (list, bad) = (list.to_str().unwrap(), bad.to_str().unwrap());
    for (arguments, code) in [
        (&[][..], 64),
        (&["8000", "example.org"][..], 64),
        (&["--listen", "nowhere", "--config", list][..], 64),
        (&["--listen", "tcp://127.0.0.1:0", "--config", bad][..], 65),
        (&["--listen", "tcp://127.0.0.1:0", "--config", "/nowhere/list.yaml"][..], 65),
        (&["--listen", "unix:///nowhere/egress", "--config", list][..], 69),
        (&["--help"][..], 0),
    ] {
        let output = command(arguments).stdout(Stdio::null()).output().await.unwrap();
        let log = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {log}");
        assert_eq!(log.is_empty(), code == 0, "{arguments:?}: {log}");
    }
}
