//! The connection service file ("The Connection Service File" in libpq's manual).

use std::io;

use crate::targets::shared::lookup::Lookup;

/// Keywords and their values.
pub(crate) type ServicePairs = Vec<(String, Vec<u8>)>;

/// The settings of a service: from `PGSERVICEFILE` or `~/.pg_service.conf`, else from `pg_service.conf` in
/// `PGSYSCONFDIR`.
///
/// # Errors
///
/// Names the file that cannot be read, or says that the service is in none; no line is shown.
pub(crate) fn settings(service: &str, file: Option<&str>, lookup: &Lookup<'_>) -> Result<ServicePairs, String> {
    let own = match file.map(str::to_owned) {
        Some(file) => Some(file),
        None => lookup.text("PGSERVICEFILE")?.filter(|file| !file.is_empty()),
    };
    let home = lookup.text("HOME")?.filter(|home| own.is_none() && !home.is_empty());
    let system = lookup.text("PGSYSCONFDIR")?.unwrap_or_else(|| "/etc/postgresql-common".to_owned());
    // Each with whether it must be there.
    let own = own.map(|file| (file, true)).or(home.map(|home| (format!("{home}/.pg_service.conf"), false)));
    let files: Vec<(String, bool)> = own.into_iter().chain([(format!("{system}/pg_service.conf"), false)]).collect();
    for (path, must_be_there) in &files {
        match (lookup.file)(path) {
            Ok(content) => {
                if let Some(found) = section(&content, service)? {
                    return Ok(found);
                }
            }
            Err(error) if *must_be_there || error.kind() == io::ErrorKind::TimedOut => {
                return Err(format!("the service file {path} cannot be read: {error}"));
            }
            Err(_) => {}
        }
    }
    let files: Vec<String> = files.into_iter().map(|(path, _)| path).collect();
    Err(format!("its `service` is not in {}", files.join(" or ")))
}

/// The pairs below `[service]`, if it is there.
fn section(content: &[u8], service: &str) -> Result<Option<ServicePairs>, String> {
    let mut found: Option<ServicePairs> = None;
    for line in content.split(|&byte| byte == b'\n') {
        let line = line.trim_ascii();
        if line.is_empty() || line.starts_with(b"#") {
            continue;
        }
        if let Some(name) = line.strip_prefix(b"[").and_then(|line| line.strip_suffix(b"]")) {
            if found.is_some() {
                break;
            }
            found = (name == service.as_bytes()).then(Vec::new);
            continue;
        }
        if let Some(pairs) = &mut found {
            let equals = line.iter().position(|&byte| byte == b'=');
            let equals = equals.ok_or("a line of its service is no `keyword=value`")?;
            let key = String::from_utf8_lossy(line[..equals].trim_ascii()).into_owned();
            if key == "service" || line.starts_with(b"ldap") {
                return Err("its service refers to another one, or to LDAP, which is not asked".to_owned());
            }
            pairs.push((key, line[equals + 1..].trim_ascii().to_vec()));
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_is_a_section_of_the_file() {
        let content = b"# x\n[a]\nhost=a\n[b]\nhost = db\nport=1\r\n\npassword=p\xe4ss\n[c]\nhost=c\n";
        let pair = |key: &str, value: &[u8]| (key.to_owned(), value.to_vec());
        let expected = vec![pair("host", b"db"), pair("port", b"1"), pair("password", b"p\xe4ss")];
        assert_eq!(section(content, "b"), Ok(Some(expected)));
        assert_eq!(section(content, "d"), Ok(None));
        assert!(section(b"[b]\nhunter2", "b").is_err_and(|problem| !problem.contains("hunter2")));
    }
}
