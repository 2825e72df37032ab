//! Limits that every kernel has: privileges, capabilities and resource limits.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use rustix::thread::{
    CapabilitySet, CapabilitySets, capabilities, clear_ambient_capability_set,
    remove_capability_from_bounding_set, set_capabilities, set_no_new_privs,
};
use std::io;

/// Descriptors: a driver opens some dozens a GPU.
const DESCRIPTORS: u64 = 4_096;
/// Threads and processes of this user (none of root's are counted): a program that forks
/// without end stops here, and is killed with its group.
const PROCESSES: u64 = 4_096;

/// None for this process, and none for what it becomes.
fn no_capabilities() -> rustix::io::Result<()> {
    clear_ambient_capability_set()?;
    for capability in CapabilitySet::all().iter() {
        // Root's next program gets what is left in this set. Nobody else's gets any, and it
        // can't be changed without CAP_SETPCAP; nor can what this kernel does not know.
        let _ = remove_capability_from_bounding_set(capability);
    }
    let none = CapabilitySets {
        effective: CapabilitySet::empty(),
        permitted: CapabilitySet::empty(),
        inheritable: CapabilitySet::empty(),
    };
    // A service's filter of system calls may refuse even to give up nothing.
    if capabilities(None)? == none {
        return Ok(());
    }
    set_capabilities(None, none)
}

/// Takes every limit, and returns those that could not be taken.
pub fn set(data_bytes: Option<u64>) -> Vec<String> {
    let limit = |resource, most: u64| {
        let now = getrlimit(resource).maximum;
        let most = now.map_or(most, |now| now.min(most));
        let limit = Rlimit {
            current: Some(most),
            maximum: Some(most),
        };
        setrlimit(resource, limit).map_err(io::Error::from)
    };
    let taken = [
        (
            "giving up new privileges",
            set_no_new_privs(true).map_err(io::Error::from),
        ),
        (
            "giving up capabilities",
            no_capabilities().map_err(io::Error::from),
        ),
        ("writing no core file", limit(Resource::Core, 0)),
        // The daemon may have this right for its sampler: a worker with it would go first.
        ("giving up real-time priority", limit(Resource::Rtprio, 0)),
        ("giving up higher priority", limit(Resource::Nice, 0)),
        (
            "the limit of descriptors",
            limit(Resource::Nofile, DESCRIPTORS),
        ),
        ("the limit of processes", limit(Resource::Nproc, PROCESSES)),
        (
            "the limit of memory (worker.memory_max)",
            data_bytes.map_or(Ok(()), |bytes| limit(Resource::Data, bytes)),
        ),
    ];
    taken
        .into_iter()
        .filter_map(|(what, taken)| Some(format!("{what}: {}", taken.err()?)))
        .collect()
}
