//! go-profile.md A.2, B.3 and B.4: every builder with every field of its row.

use std::collections::BTreeSet;

use buildenv::{Builder, Class, Config, Role};

use super::{codes, in_2017, profile, rows, today, variables};
use crate::name;

fn builder<'a>(config: &'a Config, builder: &str) -> &'a Builder {
    config.builder(&name("go"), &name(builder)).unwrap_or_else(|| panic!("no builder {builder}"))
}

/// The variables that its recipe asks for, and the others.
fn env(builder: &Builder) -> (Vec<String>, Vec<(String, String)>) {
    let mut env = builder.env.clone();
    env.sort();
    let (ours, theirs): (Vec<_>, Vec<_>) = env.into_iter().partition(|(k, _)| k.starts_with("BUILD_"));
    (ours.into_iter().map(|(k, v)| format!("{k}={v}")).collect(), theirs)
}

/// Helpers, and those of try runs: 0 means as many.
fn helpers(text: &str) -> (u32, u32) {
    let (all, tries) = text.split_once('/').unwrap();
    let (all, tries): (u32, u32) = (all.parse().unwrap(), tries.parse().unwrap());
    (all, if tries == 0 { all } else { tries })
}

/// Compares what both eras' flags say; the value of one is what follows `=`.
fn flags(builder: &Builder, flags: &str) {
    let name = &builder.name;
    let flag = |flag: &str| {
        flags.split(' ').find_map(|one| {
            let rest = one.strip_prefix(flag)?;
            if rest.is_empty() { Some("") } else { rest.strip_prefix('=') }
        })
    };
    assert_eq!(!builder.post_submit, flag("tryonly").is_some(), "{name}");
    assert_eq!(builder.compile_only, flag("compileonly").is_some(), "{name}");
    assert_eq!(builder.skip_snapshot, flag("skipsnapshot").is_some(), "{name}");
    assert_eq!(builder.stop_after_build, flag("stopaftermake").is_some(), "{name}");
    assert_eq!(builder.flaky_net, flag("flakynet").is_some(), "{name}");
    assert_eq!(builder.private_proxy, flag("privateproxy").is_some(), "{name}");
    assert_eq!(builder.bench, flag("bench").is_some(), "{name}");
    assert_eq!(builder.max_at_once.map(|n| n.to_string()).as_deref(), flag("maxatonce"), "{name}");
    assert_eq!(builder.minimum_version.as_ref().map(ToString::to_string).as_deref(), flag("min"), "{name}");
    let ancestors: Vec<_> = builder.required_ancestors.iter().map(|one| one.commit.to_string()).collect();
    assert_eq!(ancestors.join(","), flag("godeps").unwrap_or(""), "{name}");
    let issues: Vec<_> = builder.known_issues.iter().map(ToString::to_string).collect();
    assert_eq!(issues.join(","), flag("issues").unwrap_or(""), "{name}");
}

/// Whether a part of a builder's name is this word.
fn is(name: &str, word: &str) -> bool {
    name.split('-').any(|part| part == word)
}

#[test]
fn every_builder_of_2017_is_there_with_its_fields() {
    let (config, rows) = (in_2017(), rows(include_str!("../../go/builders-2017.tsv")));
    assert_eq!((rows.len(), config.builders().len()), (67, 67));
    for row in rows {
        let name = row["builder"];
        let builder = builder(config, name);
        assert_eq!(builder.host.as_ref().unwrap().as_str(), row["host"], "{name}");
        assert_eq!(builder.try_.ever(), row["try"] == "yes", "{name}");
        assert_eq!(builder.repos.matches("net"), row["x/"] == "yes", "{name}");
        assert_eq!((builder.helpers, builder.try_helpers), helpers(row["helpers"]), "{name}");
        flags(builder, row["flags"]);
        let (ours, theirs) = env(builder);
        assert_eq!(theirs, variables(row["env"]), "{name}");
        let (recipe, wants): (_, &[&str]) = match row["script"] {
            "all.bash" if row["flags"].contains("racepkgs=cmd/compile") => ("go-racecompile", &[]),
            "all.bash" => ("go", &[]),
            "race.bash" => ("go", &["BUILD_RACE=-race"]),
            "nacltest.bash" => ("go", &["BUILD_MAKE=naclmake.bash"]),
            "all.rc" => ("go-plan9", &[]),
            "all.bat" => ("go-windows", &[]),
            "race.bat" => ("go-windows-race", &[]),
            "androidtest.bash" => ("android", &[]),
            "iostest.bash" => ("ios", &[]),
            "buildall.bash" => ("buildall", &[]),
            other => panic!("{name}: {other}"),
        };
        assert!(builder.recipe.as_str().starts_with(recipe), "{name}");
        assert_eq!(ours, wants, "{name}");
        let main = &config.recipe_of(builder).unwrap().main;
        let split = main.steps.len() == 3 && main.snapshot || recipe == "go-racecompile";
        assert_eq!(split, row["split"] == "yes", "{name}: whole scripts make no snapshot and list no tests");
        if let Some((_, args)) = row["flags"].split_once("args=") {
            assert!(main.steps[0].run.ends_with(&format!("buildall.bash '{args}'")), "{name}");
        }
        assert!(builder.timeout_scale == 1.0, "{name}: limits were the same for all");
        let split_tests = recipe.starts_with("go");
        assert_eq!(builder.runs_test("vet/all", Class::PostSubmit), !split_tests, "{name}");
        assert_eq!(builder.runs_test("api", Class::Try), !split_tests || name == "linux-amd64", "{name}");
    }
}

#[test]
fn every_builder_of_today_is_there_with_its_fields() {
    let (config, rows) = (today(), rows(include_str!("../../go/builders-today.tsv")));
    assert_eq!((rows.len(), config.builders().len()), (138, 138));
    for row in rows {
        let name = row["builder"];
        let builder = builder(config, name);
        assert_eq!(builder.host.as_ref().unwrap().as_str(), row["host"], "{name}");
        assert_eq!((builder.helpers, builder.try_helpers), helpers(row["helpers"]), "{name}");
        flags(builder, row["flags"]);
        let (long, race) = (is(name, "longtest"), is(name, "race"));
        let (ours, mut theirs) = env(builder);
        assert_eq!(theirs.contains(&("GO_TEST_SHORT".into(), "0".into())), long, "{name}");
        theirs.retain(|(key, _)| key != "GO_TEST_SHORT");
        assert_eq!(theirs, variables(row["env"]), "{name}");
        if is(name, "windows") && builder.recipe.as_str().starts_with("go-windows") {
            let recipe = builder.recipe.as_str();
            assert_eq!((recipe.ends_with("-long"), recipe.ends_with("-race")), (long, race), "{name}");
        } else {
            assert_eq!(ours.contains(&"BUILD_SHORT=".into()), long, "{name}");
            assert_eq!(ours.contains(&"BUILD_RACE=-race".into()), race, "{name}");
        }
        // The builder's own scale, else its host's, else none.
        let host = config.host(row["host"]).unwrap();
        let scale = theirs.iter().chain(&host.env).find(|(key, _)| key == "GO_TEST_TIMEOUT_SCALE");
        let scale = scale.map_or(1.0, |(_, value)| value.parse().unwrap());
        assert!((builder.timeout_scale - scale).abs() < f64::EPSILON, "{name}");
        let run = config.recipe_of(builder).unwrap().main.step(Role::Run);
        assert!(
            run.is_none_or(|step| step.timeout.as_secs() == 20 * 60),
            "{name}: 20 minutes times the scale"
        );
        for test in codes::TESTS {
            for class in [Class::PostSubmit, Class::Try] {
                let want = codes::runs_test(name, row["dist"], test, class);
                assert_eq!(builder.runs_test(test, class), want, "{name} {test} {class:?}");
            }
        }
    }
}

#[test]
fn every_short_name_finds_its_builder_or_is_known_to_have_none() {
    let (config, rows) = (today(), rows(include_str!("../../go/short-names.tsv")));
    assert_eq!(rows.len(), 82);
    let (missing, names): (Vec<_>, Vec<_>) = rows.iter().partition(|row| row["builder"].is_empty());
    let found = |name: &'static str| -> Vec<&'static str> {
        config.builders_by_alias(name).map(|builder| builder.name.as_str()).collect()
    };
    for row in &names {
        let of_name = config.builders().iter().find(|b| b.name.as_str() == row["name"]);
        let want: BTreeSet<_> =
            of_name.iter().map(|builder| builder.name.as_str()).chain([row["builder"]]).collect();
        assert_eq!(found(row["name"]), Vec::from_iter(want), "{}", row["name"]);
    }
    assert_eq!(found("plan9-386"), ["plan9-386", "plan9-386-0intro"]);
    for row in &missing {
        assert!(found(row["name"]).is_empty(), "{}", row["name"]);
    }
    let known: BTreeSet<_> = config.known_missing().iter().map(|name| name.as_str()).collect();
    assert_eq!(known, missing.iter().map(|row| row["name"]).collect());
    let own = |row: &&&std::collections::BTreeMap<_, _>| row["name"] != row["builder"];
    let aliases = config.builders().iter().map(|b| b.aliases.len()).sum::<usize>();
    assert_eq!(aliases, names.iter().filter(own).count());
    for builder in config.builders() {
        assert!(found(builder.name.as_str()).contains(&builder.name.as_str()));
    }
}

#[test]
fn builders_that_another_system_took_over_stop_and_no_others() {
    let ported: BTreeSet<_> =
        rows(include_str!("../../go/ported-today.tsv")).iter().map(|row| row["builder"].to_owned()).collect();
    assert_eq!(ported.len(), 73);
    let config = profile("today-ported.toml", None);
    for class in [Class::PostSubmit, Class::Try] {
        let left = super::planned(&config, "go", "master", "master", class);
        let all = super::planned(today(), "go", "master", "master", class);
        let want: Vec<_> = all.into_iter().filter(|name| !ported.contains(name)).collect();
        assert_eq!(left, want);
    }
    ported.iter().for_each(|name| assert_eq!(builder(&config, name).name.as_str(), name));
}
