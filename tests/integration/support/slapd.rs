//! A real slapd in a temporary directory.

use std::path::PathBuf;
use std::process::Stdio;

use tempfile::TempDir;

use super::{Reaper, directory, eventually, free_port, tool, unprivileged};

/// A directory server, running, with the entry dc=example,dc=com, whose cn=admin has the password `secret word`.
pub struct Slapd {
    directory: TempDir,
    /// The port it listens on.
    pub port: u16,
    _process: Reaper,
}

impl Slapd {
    /// Starts it with further lines of its configuration; `tls` is for ldaps:// alone.
    pub fn start(settings: &str, is_tls: bool) -> Self {
        let (directory, port) = (directory(), free_port());
        let path = directory.path();
        std::fs::create_dir(path.join("db")).unwrap();
        std::os::unix::fs::chown(path.join("db"), Some(65534), Some(65534)).ok();
        let conf = path.join("slapd.conf");
        let text = format!(
            "include /etc/ldap/schema/core.schema\nmodulepath /usr/lib/ldap\nmoduleload back_mdb\nloglevel stats\n\
             {settings}\ndatabase mdb\nmaxsize 10485760\nsuffix \"dc=example,dc=com\"\n\
             rootdn \"cn=admin,dc=example,dc=com\"\nrootpw \"secret word\"\ndirectory {}\n",
            path.join("db").display()
        );
        std::fs::write(&conf, text).unwrap();
        let data = path.join("data.ldif");
        let entry =
            "dn: dc=example,dc=com\nobjectClass: dcObject\nobjectClass: organization\no: Example\ndc: example\n";
        std::fs::write(&data, entry).unwrap();
        let (conf, data) = (conf.to_str().unwrap(), data.to_str().unwrap());
        let added = unprivileged(&tool(&["slapadd"], "slapd")).args(["-f", conf, "-l", data]).output().unwrap();
        assert!(added.status.success(), "{added:?}");
        let socket = path.join("ldapi").display().to_string().replace('/', "%2F");
        let scheme = if is_tls { "ldaps" } else { "ldap" };
        let log = std::fs::File::create(path.join("log")).unwrap();
        let process = unprivileged(&tool(&["slapd"], "slapd"))
            .args(["-d", "stats", "-f", conf, "-h", &format!("{scheme}://127.0.0.1:{port}/ ldapi://{socket}")])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("slapd");
        let server = Self { directory, port, _process: Reaper(process) };
        eventually("slapd", || server.log().contains("slapd starting"));
        server
    }

    /// What it has logged.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.directory.path().join("log")).unwrap_or_default()
    }

    /// Its socket.
    pub fn socket(&self) -> PathBuf {
        self.directory.path().join("ldapi")
    }
}
