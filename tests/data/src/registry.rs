//! Debian's `docker-registry` as a process of a test: a real registry, with basic authentication, over TLS where that is wanted.
#![allow(clippy::unwrap_used, reason = "a helper of a test fails as the test does")]

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A name of the registry's that no resolver knows.
pub const NAME: &str = "registry.invalid";

/// Who may push and pull.
pub struct Login {
    /// The user.
    pub user: &'static str,
    /// The password.
    pub password: &'static str,
    /// bcrypt of the password.
    pub hash: &'static str,
}

/// A registry that runs until this is dropped.
pub struct DockerRegistry {
    process: Child,
    port: u16,
    folder: tempfile::TempDir,
    authority: Option<String>,
}

impl DockerRegistry {
    /// Starts one on the loopback address.
    pub fn start(login: &Login, tls: bool) -> Self {
        let program = tool("docker-registry");
        // Another process may take the port in between, so that it is tried some times.
        for _ in 0..5 {
            let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
            let folder = tempfile::tempdir().unwrap();
            let (extra, authority) = if tls { certificate(folder.path()) } else { (String::new(), None) };
            let config = configuration(folder.path(), port, login, &extra);
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

    /// Its port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// How images are named by it.
    pub fn host(&self) -> String {
        format!("localhost:{}", self.port)
    }

    /// The certification authority, where it speaks TLS.
    pub fn authority(&self) -> Option<&str> {
        self.authority.as_deref()
    }

    /// The folder with that authority's certificate, for skopeo.
    pub fn trust(&self) -> PathBuf {
        self.folder.path().join("trust")
    }

    /// Takes a blob away from under it.
    pub fn lose(&self, hex: &str) {
        let path = self.folder.path().join(format!("data/docker/registry/v2/blobs/sha256/{}/{hex}", &hex[..2]));
        std::fs::remove_dir_all(path).unwrap();
    }
}

/// The path of a tool, or a failure that says how to get it.
pub fn tool(name: &str) -> PathBuf {
    let found = std::env::var_os("PATH")
        .and_then(|paths| std::env::split_paths(&paths).map(|dir| dir.join(name)).find(|path| path.is_file()));
    found.unwrap_or_else(|| panic!("{name} is missing; as root: apt-get install --no-install-recommends {name}"))
}

impl Drop for DockerRegistry {
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

fn configuration(folder: &Path, port: u16, login: &Login, tls: &str) -> PathBuf {
    let users = folder.join("htpasswd");
    std::fs::write(&users, format!("{}:{}\n", login.user, login.hash)).unwrap();
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
