//! What is in the reviews at the end of each story, written down before: [`super::said`] has the form.
//!
//! What changes what the server says in a review changes it here first.

use std::fmt::Write as _;

use super::stories::well_before;

const GOOD: &str = "\
good: go main, NEW
  ada [gerrit:newPatchSet] Uploaded patch set 1.
  bela Patch Set 1: | (1 comment)
    1, resolved: TRY=race3
  ada Patch Set 1: Run-TryBot+1 | (1 comment)
    2, resolved: TRY=longtest, nope
  bot [trybots~beginning] Patch Set 1: | (1 comment)
    3, open: TryBots beginning. Status page: CI/tries/RUN1
      | 3 builds of COMMIT1.
      | Asked for beside the usual ones: slow.
      | Not known, and left out: nope.
  bot [trybots~happy] Patch Set 1: TryBot-Result+1 | (1 comment)
    4 to 3, resolved: TryBots are happy.
      | All builds: CI/tries/RUN1
  votes: Run-TryBot ada +1, TryBot-Result bot +1
";

const BREAKING: &str = "\
breaking: go main, NEW
  ada [gerrit:newPatchSet] Uploaded patch set 1.
  ada Patch Set 1: Run-TryBot+1
  bot [trybots~beginning] Patch Set 1: | (1 comment)
    1, open: TryBots beginning. Status page: CI/tries/RUN1
      | 2 builds of COMMIT1.
  bot [trybots~progress] Patch Set 1: | (1 comment)
    2 to 1, open: Build is still in progress... Status page: CI/tries/RUN1
      | Failed on race: CI/builds/BUILD1
      | Other builds still in progress; subsequent failure notices suppressed until final report.
  bot [trybots~failed] Patch Set 1: TryBot-Result-1 | (1 comment)
    3 to 1, open: 1 of 2 TryBots failed.
      | Failed on race: CI/builds/BUILD1
      | caused, on race: the build on race fails because of this change: it failed again in N of N runs with the change, in N of N without it. CI/builds/BUILD1
      | All builds: CI/tries/RUN1
  votes: Run-TryBot ada +1, TryBot-Result bot -1
";

/// Each is tried with those before it in its history; the second fails, and the third mends it.
const CHAIN: &str = "\
chain-1: go main, NEW
  ada [gerrit:newPatchSet] Uploaded patch set 1.
  ada Patch Set 1: Run-TryBot+1
  bot [trybots~beginning] Patch Set 1: | (1 comment)
    1, open: TryBots beginning. Status page: CI/tries/RUN1
      | 2 builds of COMMIT1.
  bot [trybots~happy] Patch Set 1: TryBot-Result+1 | (1 comment)
    2 to 1, resolved: TryBots are happy.
      | All builds: CI/tries/RUN1
  votes: Run-TryBot ada +1, TryBot-Result bot +1
chain-2: go main, NEW
  ada [gerrit:newPatchSet] Uploaded patch set 1.
  ada Patch Set 1: Run-TryBot+1
  bot [trybots~beginning] Patch Set 1: | (1 comment)
    1, open: TryBots beginning. Status page: CI/tries/RUN1
      | 2 builds of COMMIT1.
      | Tried as if these had landed too:
      | chain-1, patch set 1 (built upon, approved)
  bot [trybots~progress] Patch Set 1: | (1 comment)
    2 to 1, open: Build is still in progress... Status page: CI/tries/RUN1
      | Failed on race: CI/builds/BUILD1
      | Other builds still in progress; subsequent failure notices suppressed until final report.
  bot [trybots~failed] Patch Set 1: TryBot-Result-1 | (1 comment)
    3 to 1, open: 1 of 2 TryBots failed.
      | Failed on race: CI/builds/BUILD1
      | caused, on race: the build on race fails because of this change: it failed again in N of N runs with the change, in N of N without it. CI/builds/BUILD1
      | All builds: CI/tries/RUN1
  votes: Run-TryBot ada +1, TryBot-Result bot -1
chain-3: go main, NEW
  ada [gerrit:newPatchSet] Uploaded patch set 1.
  ada Patch Set 1: Run-TryBot+1
  bot [trybots~beginning] Patch Set 1: | (1 comment)
    1, open: TryBots beginning. Status page: CI/tries/RUN1
      | 2 builds of COMMIT1.
      | Tried as if these had landed too:
      | chain-1, patch set 1 (built upon, approved)
      | chain-2, patch set 1 (built upon, approved)
  bot [trybots~happy] Patch Set 1: TryBot-Result+1 | (1 comment)
    2 to 1, resolved: TryBots are happy.
      | All builds: CI/tries/RUN1
  votes: Run-TryBot ada +1, TryBot-Result bot +1
";

/// Fewer builders for the branch of a release.
const RELEASE: &str = "\
release: go release-1.1, NEW
  ada [gerrit:newPatchSet] Uploaded patch set 1.
  ada Patch Set 1: Run-TryBot+1
  bot [trybots~beginning] Patch Set 1: | (1 comment)
    1, open: TryBots beginning. Status page: CI/tries/RUN1
      | 1 build of COMMIT1.
  bot [trybots~happy] Patch Set 1: TryBot-Result+1 | (1 comment)
    2 to 1, resolved: TryBots are happy.
      | All builds: CI/tries/RUN1
  votes: Run-TryBot ada +1, TryBot-Result bot +1
";

/// Against two branches of its toolchain, of which one does not do.
const TEXT: &str = "\
text: x/text main, NEW
  ada [gerrit:newPatchSet] Uploaded patch set 1.
  ada Patch Set 1: Run-TryBot+1
  bot [trybots~beginning] Patch Set 1: | (1 comment)
    1, open: TryBots beginning. Status page: CI/tries/RUN1
      | 2 builds of COMMIT1.
  bot [trybots~progress] Patch Set 1: | (1 comment)
    2 to 1, open: Build is still in progress... Status page: CI/tries/RUN1
      | Failed on linux against release-1.1: CI/builds/BUILD1
      | Other builds still in progress; subsequent failure notices suppressed until final report.
  bot [trybots~failed] Patch Set 1: TryBot-Result-1 | (1 comment)
    3 to 1, open: 1 of 2 TryBots failed.
      | Failed on linux against release-1.1: CI/builds/BUILD1
      | caused, on linux against release-1.1: the build on linux fails because of this change: it failed again in N of N runs with the change, in N of N without it. CI/builds/BUILD1
      | All builds: CI/tries/RUN1
  votes: Run-TryBot ada +1, TryBot-Result bot -1
";

/// The vote was for the first patch set, and is not one for the second.
const NEWER: &str = "\
newer: go main, NEW
  ada [gerrit:newPatchSet] Uploaded patch set 1.
  ada Patch Set 1: Run-TryBot+1
  bot [trybots~beginning] Patch Set 1: | (1 comment)
    1, open: TryBots beginning. Status page: CI/tries/RUN1
      | 2 builds of COMMIT1.
  ada [gerrit:newPatchSet] Uploaded patch set 2. | Outdated Votes: | * Run-TryBot+1
  bot [trybots~cancelled] Patch Set 1: | (1 comment)
    2 to 1, resolved: TryBots cancelled: patch set 2 is newer.
      | All builds: CI/tries/RUN1
  ada Patch Set 2: Run-TryBot+1
  bot [trybots~beginning] Patch Set 2: | (1 comment)
    3, open: TryBots beginning. Status page: CI/tries/RUN2
      | 2 builds of COMMIT2.
  bot [trybots~happy] Patch Set 2: TryBot-Result+1 | (1 comment)
    4 to 3, resolved: TryBots are happy.
      | All builds: CI/tries/RUN2
  votes: Run-TryBot ada +1, TryBot-Result bot +1
";

/// Gerrit refuses the vote, and words ask for nothing without one.
const STRANGER: &str = "\
stranger: go main, NEW
  ada [gerrit:newPatchSet] Uploaded patch set 1.
  bela Patch Set 1: | (1 comment)
    1, resolved: TRY=longtest
  votes: none
";

/// As if nothing had happened: to the server, or to Gerrit.
const AS_EVER: &str = ": go main, NEW
  ada [gerrit:newPatchSet] Uploaded patch set 1.
  ada Patch Set 1: Run-TryBot+1
  bot [trybots~beginning] Patch Set 1: | (1 comment)
    1, open: TryBots beginning. Status page: CI/tries/RUN1
      | 2 builds of COMMIT1.
  bot [trybots~happy] Patch Set 1: TryBot-Result+1 | (1 comment)
    2 to 1, resolved: TryBots are happy.
      | All builds: CI/tries/RUN1
  votes: Run-TryBot ada +1, TryBot-Result bot +1
";

/// What must be in the reviews of a story's changes.
pub(super) fn meant(story: &str, seed: u64) -> String {
    match story {
        "good" => GOOD.to_owned(),
        "breaking" => BREAKING.to_owned(),
        "chain" => CHAIN.to_owned(),
        "flaky" => flaky(seed),
        "release" => RELEASE.to_owned(),
        "text" => TEXT.to_owned(),
        "newer" => NEWER.to_owned(),
        "stranger" => STRANGER.to_owned(),
        _ => format!("{story}{AS_EVER}"),
    }
}

/// Patch sets that are well by luck, and one whose test fails, which is well too: it fails without the change as well.
fn flaky(seed: u64) -> String {
    let mut text = "flaky: site main, NEW\n".to_owned();
    let failing = well_before(seed) + 1;
    for n in 1..=failing {
        let outdated = match n {
            1 => "",
            _ => " | Outdated Votes: | * Run-TryBot+1 | * TryBot-Result+1",
        };
        let (begun, ended) = (2 * n - 1, 2 * n);
        let _ = write!(
            text,
            "  ada [gerrit:newPatchSet] Uploaded patch set {n}.{outdated}\n  \
             ada Patch Set {n}: Run-TryBot+1\n  \
             bot [trybots~beginning] Patch Set {n}: | (1 comment)\n    \
             {begun}, open: TryBots beginning. Status page: CI/tries/RUN{n}\n      \
             | 1 build of COMMIT{n}.\n  \
             bot [trybots~happy] Patch Set {n}: TryBot-Result+1 | (1 comment)\n    \
             {ended} to {begun}, resolved: TryBots are happy.\n"
        );
        if n == failing {
            // A break that nobody has mended yet would look like a landed commit that failed: it is no past.
            let past = match seed.is_multiple_of(3) {
                true => "",
                false => ", and at landed commits on this builder N times in N runs",
            };
            let _ = writeln!(
                text,
                "      | flaky, on tests: flaky is flaky: it fails at times with and without this change; it failed again in N of N \
                 runs with the change, in N of N without it{past}. CI/builds/BUILD1"
            );
        }
        let _ = writeln!(text, "      | All builds: CI/tries/RUN{n}");
    }
    text + "  votes: Run-TryBot ada +1, TryBot-Result bot +1\n"
}
