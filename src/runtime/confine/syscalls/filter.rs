//! The filter of 64-bit machines.

use super::{FilterError, Reach};
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule, TargetArch, sock_filter,
};
use std::collections::BTreeMap;

type Rules = BTreeMap<i64, Vec<SeccompRule>>;

/// Into other processes, around the file rules, out of the process group, and into the
/// administration of the machine.
const NEVER: [i64; 68] = [
    // Other processes.
    libc::SYS_ptrace,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_process_madvise,
    libc::SYS_kcmp,
    libc::SYS_pidfd_getfd,
    libc::SYS_migrate_pages,
    libc::SYS_ioprio_set,
    // Out of the group that is killed with the worker.
    libc::SYS_setsid,
    libc::SYS_setpgid,
    // Memory and queues that stay when their maker has gone.
    libc::SYS_shmget,
    libc::SYS_semget,
    libc::SYS_msgget,
    libc::SYS_mq_open,
    // Work that is done where no filter looks.
    libc::SYS_io_uring_setup,
    libc::SYS_io_uring_enter,
    libc::SYS_io_uring_register,
    libc::SYS_bpf,
    libc::SYS_userfaultfd,
    // Changes of files that need no right to write them; Landlock does not know them.
    libc::SYS_fchmod,
    libc::SYS_fchmodat,
    FCHMODAT2,
    libc::SYS_fchown,
    libc::SYS_fchownat,
    libc::SYS_utimensat,
    libc::SYS_truncate,
    libc::SYS_setxattr,
    libc::SYS_lsetxattr,
    libc::SYS_fsetxattr,
    SETXATTRAT,
    libc::SYS_removexattr,
    libc::SYS_lremovexattr,
    libc::SYS_fremovexattr,
    REMOVEXATTRAT,
    FILE_SETATTR,
    // Other views of the file system.
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_move_mount,
    libc::SYS_open_tree,
    OPEN_TREE_ATTR,
    libc::SYS_fsopen,
    libc::SYS_fsmount,
    libc::SYS_fsconfig,
    libc::SYS_fspick,
    libc::SYS_mount_setattr,
    libc::SYS_pivot_root,
    libc::SYS_chroot,
    libc::SYS_open_by_handle_at,
    libc::SYS_fanotify_init,
    libc::SYS_quotactl,
    libc::SYS_unshare,
    libc::SYS_setns,
    // Keys, and the machine itself.
    libc::SYS_add_key,
    libc::SYS_request_key,
    libc::SYS_keyctl,
    libc::SYS_init_module,
    libc::SYS_finit_module,
    libc::SYS_delete_module,
    libc::SYS_kexec_load,
    KEXEC_FILE_LOAD,
    libc::SYS_reboot,
    libc::SYS_swapon,
    libc::SYS_swapoff,
    libc::SYS_acct,
    libc::SYS_syslog,
    libc::SYS_settimeofday,
    libc::SYS_clock_settime,
    libc::SYS_clock_adjtime,
];

/// Of x86-64 alone: the elder forms of the above, and ports.
#[cfg(target_arch = "x86_64")]
const NEVER_HERE: [i64; 9] = [
    libc::SYS_chmod,
    libc::SYS_chown,
    libc::SYS_lchown,
    libc::SYS_utime,
    libc::SYS_utimes,
    libc::SYS_futimesat,
    libc::SYS_iopl,
    libc::SYS_ioperm,
    libc::SYS_adjtimex,
];
#[cfg(not(target_arch = "x86_64"))]
const NEVER_HERE: [i64; 1] = [libc::SYS_adjtimex];

// Since 5.6 new calls have one number everywhere; the crate lacks those of some machines.
const FCHMODAT2: i64 = 452;
const SETXATTRAT: i64 = 463;
const REMOVEXATTRAT: i64 = 466;
const OPEN_TREE_ATTR: i64 = 467;
const FILE_SETATTR: i64 = 469;
#[cfg(target_arch = "x86_64")]
const KEXEC_FILE_LOAD: i64 = 320;
#[cfg(not(target_arch = "x86_64"))]
const KEXEC_FILE_LOAD: i64 = 294;

/// Flags of `clone`: namespaces, and children that are the daemon's, which would have to reap
/// them and knows nothing of them.
const NO_CLONES: [i32; 9] = [
    libc::CLONE_PARENT,
    libc::CLONE_NEWUSER,
    libc::CLONE_NEWNS,
    libc::CLONE_NEWPID,
    libc::CLONE_NEWNET,
    libc::CLONE_NEWIPC,
    libc::CLONE_NEWUTS,
    libc::CLONE_NEWCGROUP,
    CLONE_NEWTIME,
];
const CLONE_NEWTIME: i32 = 0x80;
/// So many of the daemon's threads fit into a filter; it has some twenty.
const MOST_THREADS: usize = 100;
/// By call, what makes a process the owner of a file, and sets the signal it gets
/// (asm-generic/fcntl.h, asm-generic/sockios.h).
const OWNERS: [(i64, &[u64]); 2] = [
    (libc::SYS_fcntl, &[F_SETOWN, F_SETSIG, F_SETOWN_EX]),
    (libc::SYS_ioctl, &[FIOSETOWN, SIOCSPGRP]),
];
const F_SETOWN: u64 = 8;
const F_SETSIG: u64 = 10;
const F_SETOWN_EX: u64 = 15;
const FIOSETOWN: u64 = 0x8901;
const SIOCSPGRP: u64 = 0x8902;
/// The type of a socket without its flags.
const SOCKET_TYPE: u64 = 0xf;
/// Sockets that reach nobody but whom they were connected to. Every other one can be told an
/// address with each message, SOCK_RAW too: on Unix sockets it is another name of SOCK_DGRAM.
const CONNECTED: [u64; 2] = [libc::SOCK_STREAM as u64, libc::SOCK_SEQPACKET as u64];

/// Takes effect at once and for good, also after `execve`. A call of another ABI (32-bit
/// programs) ends the process.
pub fn restrict(reach: &Reach) -> Result<(), FilterError> {
    let refused = SeccompAction::Errno(libc::EPERM as u32);
    let unknown = SeccompAction::Errno(libc::ENOSYS as u32);
    for program in [
        filter(rules(reach)?, refused.clone())?,
        filter(schedules(&reach.daemon)?, refused)?,
        // Its flags lie in memory, where no filter looks. C libraries take clone instead.
        filter(Rules::from([(libc::SYS_clone3, vec![])]), unknown)?,
    ] {
        seccompiler::apply_filter(&program)?;
    }
    if cfg!(target_arch = "x86_64") {
        seccompiler::apply_filter(&no_x32())?;
    }
    Ok(())
}

fn filter(rules: Rules, denied: SeccompAction) -> Result<BpfProgram, FilterError> {
    let machine: TargetArch = std::env::consts::ARCH.try_into()?;
    let filter = SeccompFilter::new(rules, SeccompAction::Allow, denied, machine)?;
    Ok(filter.try_into()?)
}

/// What is denied: calls, each with the conditions of which one has to hold.
fn rules(reach: &Reach) -> Result<Rules, seccompiler::BackendError> {
    let mut rules: Rules = NEVER
        .into_iter()
        .chain(NEVER_HERE)
        .map(|call| (call, Vec::new()))
        .collect();
    let own = u64::from(reach.own.as_raw_nonzero().get().unsigned_abs());
    let neither = |values: &[u64]| {
        let each = values
            .iter()
            .map(|value| argument(0, SeccompCmpOp::Ne, *value));
        SeccompRule::new(each.collect::<Result<_, _>>()?)
    };
    let clones = NO_CLONES.map(|flag| {
        let flag = flag as u64;
        one(argument(0, SeccompCmpOp::MaskedEq(flag), flag)?)
    });
    rules.insert(
        libc::SYS_clone,
        clones.into_iter().collect::<Result<_, _>>()?,
    );
    // Limits of its own alone, and no priority of a group or a user.
    rules.insert(libc::SYS_prlimit64, vec![neither(&[0, own])?]);
    let process = libc::PRIO_PROCESS as u64;
    rules.insert(libc::SYS_setpriority, vec![neither(&[process])?]);
    // It dies with the daemon.
    let death = libc::PR_SET_PDEATHSIG as u64;
    let survive = SeccompRule::new(vec![
        argument(0, SeccompCmpOp::Eq, death)?,
        argument(1, SeccompCmpOp::Ne, libc::SIGKILL as u64)?,
    ])?;
    rules.insert(libc::SYS_prctl, vec![survive]);
    if !reach.signals_kept_inside {
        // 0 is its own group.
        rules.insert(libc::SYS_kill, vec![neither(&[0, own])?]);
        for call in [
            libc::SYS_tgkill,
            libc::SYS_tkill,
            libc::SYS_rt_sigqueueinfo,
            libc::SYS_rt_tgsigqueueinfo,
        ] {
            rules.insert(call, vec![neither(&[own])?]);
        }
        rules.insert(libc::SYS_pidfd_send_signal, Vec::new());
        // The kernel signals the owner of a file when there is something to read.
        for (call, commands) in OWNERS {
            let owners = commands
                .iter()
                .map(|command| one(argument(1, SeccompCmpOp::Eq, *command)?));
            rules.insert(call, owners.collect::<Result<_, _>>()?);
        }
    }
    if !reach.network {
        let unix = libc::AF_UNIX as u64;
        let mut own_kind = vec![neither(&[unix])?];
        for addressed in (0..=SOCKET_TYPE).filter(|kind| !CONNECTED.contains(kind)) {
            let masked = SeccompCmpOp::MaskedEq(SOCKET_TYPE);
            own_kind.push(one(argument(1, masked, addressed)?)?);
        }
        rules.insert(libc::SYS_socketpair, own_kind.clone());
        let sockets = if reach.unix_sockets {
            own_kind
        } else {
            Vec::new()
        };
        rules.insert(libc::SYS_socket, sockets);
        // Not to the system bus, nor to whoever else listens on this board.
        rules.insert(libc::SYS_connect, Vec::new());
    }
    Ok(rules)
}

/// Denied: to slow down the daemon's threads, which sample while the worker runs. Numbers of
/// the worker's own threads are not known yet, and ggml pins threads by them.
fn schedules(daemon: &[u64]) -> Result<Rules, seccompiler::BackendError> {
    let by_argument = [
        (libc::SYS_sched_setaffinity, 0),
        (libc::SYS_sched_setattr, 0),
        (libc::SYS_sched_setparam, 0),
        (libc::SYS_sched_setscheduler, 0),
        (libc::SYS_setpriority, 1),
    ];
    let mut rules = Rules::new();
    // A call without a condition would be denied altogether.
    for (call, index) in by_argument.into_iter().filter(|_| !daemon.is_empty()) {
        let threads = daemon
            .iter()
            .take(MOST_THREADS)
            .map(|thread| one(argument(index, SeccompCmpOp::Eq, *thread)?));
        rules.insert(call, threads.collect::<Result<_, _>>()?);
    }
    Ok(rules)
}

fn one(condition: SeccompCondition) -> Result<SeccompRule, seccompiler::BackendError> {
    SeccompRule::new(vec![condition])
}

/// Of an `int`: the kernel looks at its lower half alone.
fn argument(
    index: u8,
    comparison: SeccompCmpOp,
    value: u64,
) -> Result<SeccompCondition, seccompiler::BackendError> {
    SeccompCondition::new(index, SeccompCmpArgLen::Dword, comparison, value)
}

/// The x32 ABI has the machine's name of x86-64, and numbers from 2^30 on that no rule above
/// knows (seccomp(2), "Architecture").
fn no_x32() -> BpfProgram {
    const X32: u32 = 0x4000_0000;
    let (load, at_least, end) = (
        libc::BPF_LD | libc::BPF_W | libc::BPF_ABS,
        libc::BPF_JMP | libc::BPF_JGE | libc::BPF_K,
        libc::BPF_RET | libc::BPF_K,
    );
    let step = |code: u32, jt, jf, k| sock_filter {
        code: code as u16,
        jt,
        jf,
        k,
    };
    vec![
        // The number is the first field of seccomp_data.
        step(load, 0, 0, 0),
        step(at_least, 0, 1, X32),
        step(end, 0, 0, SeccompAction::Errno(libc::ENOSYS as u32).into()),
        step(end, 0, 0, SeccompAction::Allow.into()),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lists_fit_together() {
        let all: std::collections::BTreeSet<i64> = NEVER.into_iter().chain(NEVER_HERE).collect();
        assert_eq!(
            all.len(),
            NEVER.len() + NEVER_HERE.len(),
            "one is listed twice"
        );
        for needed in [
            libc::SYS_perf_event_open,
            libc::SYS_mlock,
            libc::SYS_sched_setaffinity,
            libc::SYS_futex,
            libc::SYS_execve,
        ] {
            assert!(!all.contains(&needed));
        }
    }

    #[test]
    fn every_reach_makes_a_filter_that_the_kernel_could_load() {
        for bits in 0..8 {
            let reach = Reach {
                own: rustix::process::getpid(),
                daemon: Vec::new(),
                signals_kept_inside: bits & 1 > 0,
                unix_sockets: bits & 2 > 0,
                network: bits & 4 > 0,
            };
            let program = filter(rules(&reach).unwrap(), SeccompAction::Errno(1)).unwrap();
            assert!((100..4_096).contains(&program.len()), "{}", program.len());
        }
    }

    #[test]
    fn many_threads_of_the_daemon_fit_into_a_filter() {
        for threads in [0, 1, 20, 10_000] {
            let daemon: Vec<u64> = (1..=threads).collect();
            let rules = schedules(&daemon).unwrap();
            assert_eq!(rules.is_empty(), daemon.is_empty());
            let program = filter(rules, SeccompAction::Errno(1)).unwrap();
            assert!(program.len() < 4_096, "{}", program.len());
        }
    }
}
