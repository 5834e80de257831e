//! Sentinels' URLs, as lettuce, Celery, kombu, Django and Node's clients have them.

use crate::targets::redis::url::Parameters;
use crate::targets::redis::{Redis, Sentinel};
use crate::targets::shared::kind::Written;
use crate::targets::shared::reading::Reading;
use crate::targets::shared::url::{self, Percent, Userinfo};

impl Redis {
    /// A URL, of which `rest` stands behind `://`: `hosts/master/database`, `hosts/database#master`,
    /// `hosts/master?db=`, and Celery's list `host;sentinel://host`.
    pub(crate) fn from_sentinel_url(written: &Written<'_>, reading: &mut Reading<'_>) -> Result<Self, String> {
        let list = of_one_list(written.rest);
        let parts = url::split(&list, Userinfo::UntilSlashOrQuery)?;
        let mut found = Parameters::read(parts.userinfo, parts.query, reading)?;
        let mut segments: Vec<&str> = parts.path.split('/').filter(|segment| !segment.is_empty()).collect();
        let is_number = |text: &&str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        let database = match segments.len() {
            1 | 2 => segments.pop_if(|last| is_number(&&**last)).map(str::to_owned),
            _ => None,
        };
        let master = match segments.as_slice() {
            [] => None,
            [master] => Some(url::decode_as(master, Percent::Lenient)?),
            [_, _] => return Err("its database is not a number, like redis+sentinel://HOST:26379/MASTER/0".to_owned()),
            _ => return Err("its path has too many parts; write redis+sentinel://HOST:26379/MASTER/0".to_owned()),
        };
        let hosts = if parts.hosts.is_empty() { "localhost" } else { parts.hosts };
        let master_of_fragment = written.bare_fragment.map(url::decode).transpose()?.filter(|text| !text.is_empty());
        let master = found.master.take().or(master).or(master_of_fragment);
        let (user, password) = (found.sentinel_user.take(), found.sentinel_password.take());
        found.is_tls |= written.is_tls();
        found.database = found.database.or(database);
        let redis = Self::assemble(Vec::new(), found, reading)?;
        let places = url::places(hosts, written.default_port())?;
        Ok(Self { sentinel: Some(Sentinel { places, master, user, password }), ..redis })
    }
}

/// Celery's `host1:26379;sentinel://host2:26379/0` as `host1:26379,host2:26379/0`.
fn of_one_list(rest: &str) -> String {
    let parts = rest.split([';']).map(str::trim).filter(|part| !part.is_empty());
    let parts: Vec<&str> = parts.map(|part| part.split_once("://").map_or(part, |(_, part)| part)).collect();
    let Some((last, others)) = parts.split_last() else { return rest.to_owned() };
    // The first credentials are all credentials; a path may stand behind each.
    let host_of = |part: &str| part.split('/').next().unwrap_or_default().to_owned();
    let mut out = String::new();
    for (index, part) in others.iter().enumerate() {
        let host = host_of(part);
        out.push_str(if index == 0 { &host } else { host.rsplit_once('@').map_or(&*host, |(_, host)| host) });
        out.push(',');
    }
    out.push_str(if others.is_empty() { last } else { last.split_once('@').map_or(last, |(_, host)| host) });
    out
}
