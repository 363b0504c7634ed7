//! Whose rights a thread has. Linux keeps them for each thread by itself, so that one of the agent's can have a job's while the
//! others stay root's.
//!
//! Only the effective ones are given away for a while: the real and the saved user stay root, so that no job may send a signal to
//! the thread or look into it meanwhile.

#[cfg(target_os = "linux")]
pub(crate) use linux::{give_up, of};
#[cfg(all(unix, not(target_os = "linux")))]
pub(crate) use other::give_up;
#[cfg(not(target_os = "linux"))]
pub(crate) use other::of;

#[cfg(target_os = "linux")]
mod linux {
    use std::io;
    use std::marker::PhantomData;

    use rustix::process::{Gid, Uid, getegid, getgroups};
    use rustix::thread::{set_no_new_privs, set_thread_groups, set_thread_res_gid, set_thread_res_uid};

    use crate::user::JobUser;

    /// A thread with a job's rights; it has the agent's again when this is dropped.
    ///
    /// No thread may be started meanwhile that outlives this: it would have these rights for good. Nothing is awaited either.
    pub(crate) struct Rights {
        /// The agent's own groups, if there is something to go back to.
        own: Option<(Gid, Vec<Gid>)>,
        /// The rights are this thread's.
        _here: PhantomData<*const ()>,
    }

    /// Gives this thread a job's rights, if jobs have others than the agent.
    pub(crate) fn of(user: Option<&JobUser>) -> io::Result<Rights> {
        let Some(user) = user else { return Ok(Rights { own: None, _here: PhantomData }) };
        let own = (getegid(), getgroups()?);
        let (uid, gid, groups) = numbers(user);
        set_thread_groups(&groups)?;
        // From here on what was begun is taken back: who may do this may undo it.
        let rights = Rights { own: Some(own), _here: PhantomData };
        set_thread_res_gid(None, gid, None)?;
        set_thread_res_uid(None, uid, None)?;
        Ok(rights)
    }

    impl Drop for Rights {
        fn drop(&mut self) {
            let Some((gid, groups)) = self.own.take() else { return };
            let back = set_thread_res_uid(None, Uid::ROOT, None)
                .and_then(|()| set_thread_res_gid(None, gid, None))
                .and_then(|()| set_thread_groups(&groups));
            if back.is_err() {
                // The saved user is root and root may take any group, so this does not happen. A thread that does the agent's work
                // by half of its rights would be worse than an agent that its supervisor starts anew.
                std::process::abort();
            }
        }
    }

    /// Gives this thread a job's rights for good, with no way to more. For the helper, whose only thread it is.
    pub(crate) fn give_up(user: &JobUser) -> io::Result<()> {
        let (uid, gid, groups) = numbers(user);
        set_thread_groups(&groups)?;
        set_thread_res_gid(gid, gid, gid)?;
        set_thread_res_uid(uid, uid, uid)?;
        set_no_new_privs(true)?;
        Ok(())
    }

    fn numbers(user: &JobUser) -> (Uid, Gid, Vec<Gid>) {
        let groups = [user.gid].iter().chain(&user.groups).map(|gid| Gid::from_raw(*gid)).collect();
        (Uid::from_raw(user.uid), Gid::from_raw(user.gid), groups)
    }
}

#[cfg(not(target_os = "linux"))]
mod other {
    use std::io;

    use crate::user::JobUser;

    /// A thread with a job's rights, which are the agent's own here.
    pub(crate) struct Rights(());

    /// Gives this thread a job's rights, if jobs have others than the agent.
    pub(crate) fn of(user: Option<&JobUser>) -> io::Result<Rights> {
        if user.is_some() { Err(io::ErrorKind::Unsupported.into()) } else { Ok(Rights(())) }
    }

    /// Gives this thread a job's rights for good.
    #[cfg(unix)]
    pub(crate) fn give_up(_user: &JobUser) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;
    use crate::user::JobUser;
    use rustix::process::{geteuid, getuid};

    #[test]
    fn a_thread_has_a_jobs_rights_until_it_has_its_own_again() {
        if !geteuid().is_root() {
            eprintln!("not run: only root can take another user's rights");
            return;
        }
        let dir = tempfile::tempdir().unwrap();
        let secret = dir.path().join("secret");
        std::fs::write(&secret, "s").unwrap();
        std::fs::set_permissions(&secret, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
        let user = JobUser { name: "j".to_owned(), uid: 61_234, gid: 61_235, groups: vec![61_236] };
        let before = rustix::process::getgroups().unwrap();
        {
            let _rights = of(Some(&user)).unwrap();
            assert_eq!((geteuid().as_raw(), getuid().as_raw()), (61_234, 0));
            let groups = rustix::process::getgroups().unwrap();
            assert_eq!(groups.iter().map(|g| g.as_raw()).collect::<Vec<_>>(), [61_235, 61_236]);
            std::fs::read(&secret).unwrap_err();
            std::thread::scope(|scope| {
                scope.spawn(|| {
                    assert_eq!(geteuid().as_raw(), 61_234, "a thread begins with its maker's rights")
                });
            });
        }
        assert_eq!(geteuid().as_raw(), 0);
        assert_eq!(rustix::process::getgroups().unwrap(), before);
        std::fs::read(&secret).unwrap();
        drop(of(None).unwrap());
    }
}
