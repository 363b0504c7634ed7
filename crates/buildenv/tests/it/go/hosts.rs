//! go-profile.md A.1 and B.1: every host with every field of its row.

use buildenv::{Host, Pool};

use super::{in_2017, rows, today, variables};

const BUCKET: &str = "https://storage.googleapis.com/dev-go-builder-data";
const REGISTRY: &str = "gcr.io/go-dashboard-dev";

fn machine<'a>(host: &'a Host, key: &str) -> Option<&'a str> {
    host.machine.iter().find(|(known, _)| known == key).map(|(_, value)| value.as_str())
}

fn env(host: &Host) -> Vec<(String, String)> {
    let mut env = host.env.clone();
    env.sort();
    env
}

#[test]
fn every_host_of_2017_is_there_with_its_fields() {
    let (config, rows) = (in_2017(), rows(include_str!("../../go/hosts-2017.tsv")));
    assert_eq!((rows.len(), config.hosts().len()), (44, 44));
    for row in rows {
        let name = row["host"];
        let host = config.host(name).unwrap_or_else(|| panic!("no host {name}"));
        let (pool, image) = match row["pool"] {
            "kube" => (Pool::Kubernetes, Some(format!("{REGISTRY}/{}", row["image"]))),
            "gce" => (Pool::Gce, Some(row["image"].to_owned())),
            _ => (Pool::Reverse, None),
        };
        assert_eq!((host.pool, &host.image), (pool, &image), "{name}");
        assert_eq!(host.machine_type.as_deref().unwrap_or(""), row["machine"], "{name}");
        let object = |text: &str| {
            let text = text.split(' ').next().filter(|text| !text.is_empty())?;
            Some(format!("{BUCKET}/{text}"))
        };
        assert_eq!(host.buildlet, object(row["buildlet"]), "{name}");
        assert_eq!(host.bootstrap, object(row["bootstrap"]), "{name}");
        assert_eq!(host.expected, row["expect"].parse().unwrap_or(0), "{name}");
        assert_eq!(env(host), variables(row["env"]), "{name}");
        let aliases: Vec<_> = host.aliases.iter().map(|alias| alias.as_str()).collect();
        assert_eq!(aliases.join(", "), row["aliases"], "{name}");
        assert_eq!(host.owners.join(" "), row["owner"], "{name}");
    }
}

#[test]
fn every_host_of_today_is_there_with_its_fields() {
    let (config, rows) = (today(), rows(include_str!("../../go/hosts-today.tsv")));
    assert_eq!((rows.len(), config.hosts().len()), (68, 68));
    for row in rows {
        let name = row["host"];
        let host = config.host(name).unwrap_or_else(|| panic!("no host {name}"));
        let flag = |flag: &str| {
            row["flags"].split(' ').find_map(|one| one.strip_prefix(flag)).map(|v| v.trim_start_matches('='))
        };
        let cos = if flag("cosarm").is_some() { "cos-arm64-stable" } else { "cos-101-lts" };
        let (pool, image, container) = match row["pool"] {
            "ctr" => {
                let image = flag("konlet").unwrap_or(cos);
                (Pool::Gce, Some(image), Some(format!("{REGISTRY}/{}", row["image"])))
            }
            "ec2" => {
                let (image, container) = row["image"].split_once(" + ").unwrap();
                (Pool::Ec2, Some(image), Some(container.to_owned()))
            }
            "gce" => (Pool::Gce, Some(row["image"]), None),
            _ => (Pool::Reverse, None, None),
        };
        assert_eq!((host.pool, host.image.as_deref(), &host.container), (pool, image, &container), "{name}");
        assert_eq!(host.machine_type.as_deref().unwrap_or(""), row["machine"], "{name}");
        let parts: Vec<_> = name.split('-').collect();
        let arch = match row["arch"] {
            "" => format!("{}-{}", parts[1], parts[2]),
            arch => arch.to_owned(),
        };
        assert_eq!(format!("{}-{}", host.labels["os"], host.labels["arch"]), arch, "{name}");
        let bootstrap = match row["bootstrap"] {
            "none" => None,
            _ if arch.starts_with("windows") => Some(format!("{BUCKET}/gobootstrap-{arch}-go1.24.6.tar.gz")),
            _ => Some(format!("https://go.dev/dl/go1.24.6.{arch}.tar.gz")),
        };
        assert_eq!(host.bootstrap, bootstrap, "{name}");
        let seven = if arch.ends_with("-arm") { "-7" } else { "" };
        let buildlet = (pool != Pool::Reverse).then(|| format!("{BUCKET}/buildlet.{arch}{seven}"));
        assert_eq!(host.buildlet, buildlet, "{name}");
        assert_eq!(host.expected, row["expect"].parse().unwrap_or(0), "{name}");
        assert_eq!(host.ssh_user.as_deref().unwrap_or(""), row["ssh"], "{name}");
        assert_eq!(host.hermetic, pool != Pool::Reverse || flag("herm").is_some(), "{name}");
        assert_eq!(machine(host, "google").is_some(), flag("goog").is_some(), "{name}");
        assert_eq!(machine(host, "nested_virtualization").is_some(), flag("nested").is_some(), "{name}");
        assert_eq!(machine(host, "root_drive"), flag("disk"), "{name}");
        let hours = host.delete_after.map(|time| format!("{}h", time.as_secs() / 3600));
        assert_eq!(hours.as_deref(), flag("delete"), "{name}");
        let owners: Vec<_> = host.owners.iter().map(|owner| owner.strip_prefix("gh:").unwrap()).collect();
        assert_eq!(owners.join(", "), row["owners"], "{name}");
        assert_eq!(env(host), variables(row["env"]), "{name}");
    }
}
