//! Disks that are full soon.

use std::{fs, io::Write as _, path::PathBuf, process::Command};

/// What a file system in memory gives out at a time, or more.
const PAGE_BYTES: usize = 4096;

/// A file system of a few bytes, in memory. Dropping it takes it away.
#[derive(Debug)]
pub struct SmallDisk {
    place: PathBuf,
}

impl SmallDisk {
    /// Mounts one at `place`, which is created if need be.
    ///
    /// # Panics
    /// This process may not mount.
    pub fn mount(place: PathBuf, bytes: usize) -> SmallDisk {
        fs::create_dir_all(&place).expect("a folder can be made");
        let size = format!("size={bytes}");
        let mounted =
            Command::new("mount").args(["-t", "tmpfs", "-o", &size, "replog-test"]).arg(&place).output();
        let why = match mounted {
            Ok(output) if output.status.success() => return SmallDisk { place },
            Ok(output) => String::from_utf8_lossy(&output.stderr).trim().to_owned(),
            Err(error) => error.to_string(),
        };
        panic!(
            "a small disk cannot be mounted ({why}): run the tests as root, in a container with CAP_SYS_ADMIN"
        );
    }

    /// A file that takes so many bytes of it, until it is removed.
    ///
    /// # Panics
    /// There is no such room.
    pub fn ballast(&self, bytes: usize) -> PathBuf {
        let path = self.place.join("ballast");
        fs::write(&path, vec![1; bytes]).expect("there is room for the ballast");
        path
    }

    /// A file that takes all that is left of it, until it is removed.
    ///
    /// # Panics
    /// It cannot be created.
    pub fn fill(&self) -> PathBuf {
        let path = self.place.join("filler");
        let mut file = fs::File::create(&path).expect("a file of nothing needs no room");
        while file.write_all(&[1; PAGE_BYTES]).is_ok() {}
        path
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazily: a process may be using it still, and goes with the cluster.
        let _goes_with_the_machine = Command::new("umount").arg("-l").arg(&self.place).status();
    }
}
