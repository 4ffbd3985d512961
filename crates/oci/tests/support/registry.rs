//! Debian's `docker-registry` as a process of the test.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::tool;

pub const USER: &str = "cloister";
pub const PASSWORD: &str = "open sesame";
/// A name of the registry's that no resolver knows.
pub const NAME: &str = "registry.invalid";
/// bcrypt of the password, of the least cost, made once with crypt(3).
const HASH: &str = "$2b$04$d0BPQyfgj02CSjoDtF/mRuwz2ltemzOV1TYes87EhyhTrLdbvGgRK";

pub struct Docker {
    process: Child,
    pub port: u16,
    pub folder: tempfile::TempDir,
    /// The certification authority, where it speaks TLS.
    pub authority: Option<String>,
}

impl Docker {
    pub fn plain() -> Self {
        Self::start(false)
    }

    pub fn tls() -> Self {
        Self::start(true)
    }

    fn start(tls: bool) -> Self {
        let program = tool("docker-registry");
        // Another process may take the port in between, so that it is tried some times.
        for _ in 0..5 {
            let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
            let folder = tempfile::tempdir().unwrap();
            let (extra, authority) = if tls { certificate(folder.path()) } else { (String::new(), None) };
            let config = configuration(folder.path(), port, &extra);
            let mut process = Command::new(&program)
                .arg("serve")
                .arg(config)
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .unwrap();
            if answers(port, &mut process) {
                return Self { process, port, folder, authority };
            }
            process.kill().ok();
            process.wait().ok();
        }
        panic!("docker-registry does not start");
    }

    pub fn host(&self) -> String {
        format!("localhost:{}", self.port)
    }

    /// Takes a blob away from under it.
    pub fn lose(&self, hex: &str) {
        let path = self.folder.path().join(format!("data/docker/registry/v2/blobs/sha256/{}/{hex}", &hex[..2]));
        std::fs::remove_dir_all(path).unwrap();
    }
}

impl Drop for Docker {
    fn drop(&mut self) {
        self.process.kill().ok();
        self.process.wait().ok();
    }
}

fn answers(port: u16, process: &mut Child) -> bool {
    let until = Instant::now() + Duration::from_secs(20);
    while Instant::now() < until {
        if process.try_wait().unwrap().is_some() {
            return false;
        }
        if std::net::TcpStream::connect(("127.0.0.1", port)).is_ok() {
            return true;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    false
}

fn configuration(folder: &Path, port: u16, tls: &str) -> PathBuf {
    let users = folder.join("htpasswd");
    std::fs::write(&users, format!("{USER}:{HASH}\n")).unwrap();
    let text = format!(
        "version: 0.1\nlog:\n  level: error\nstorage:\n  filesystem:\n    rootdirectory: {data}\n  delete:\n    enabled: true\n\
         http:\n  addr: 127.0.0.1:{port}\n  secret: test\n{tls}auth:\n  htpasswd:\n    realm: test\n    path: {users}\n",
        data = folder.join("data").display(),
        users = users.display(),
    );
    let path = folder.join("config.yml");
    std::fs::write(&path, text).unwrap();
    path
}

fn certificate(folder: &Path) -> (String, Option<String>) {
    use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = params.self_signed(&key).unwrap().pem();
    let issuer = Issuer::new(params, key);
    let key = KeyPair::generate().unwrap();
    let leaf = CertificateParams::new(vec!["localhost".to_owned(), NAME.to_owned()])
        .unwrap()
        .signed_by(&key, &issuer)
        .unwrap();
    let (certificate, private) = (folder.join("server.pem"), folder.join("server.key"));
    std::fs::write(&certificate, leaf.pem()).unwrap();
    std::fs::write(&private, key.serialize_pem()).unwrap();
    // skopeo takes a folder of which it reads every file.
    std::fs::create_dir(folder.join("trust")).unwrap();
    std::fs::write(folder.join("trust/ca.crt"), &authority).unwrap();
    let tls = format!("  tls:\n    certificate: {}\n    key: {}\n", certificate.display(), private.display());
    (tls, Some(authority))
}
