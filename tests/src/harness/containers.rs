//! A cluster of containers on a network of its own.
//!
//! The images are those that `cargo xtask images` makes. Faults come from Docker: a container is stopped, paused, or
//! cut off from its network while it runs on.

use std::{env, process::Command, time::Duration};

use testcontainers::{
    ContainerAsync, GenericImage, ImageExt as _, core::IntoContainerPort as _, runners::AsyncRunner as _,
};

use super::{
    client::Client,
    ports,
    wait::{SOON, wait_until},
};

/// The port on which nodes listen inside their containers.
const NODE_PORT: u16 = 5_000;

/// Until a container has to be up, on a machine that is busy.
const START_LIMIT: Duration = Duration::from_secs(60);

/// A nats-server, a master and two secondaries, each in a container, started one by one. Dropping it removes all.
#[derive(Debug)]
pub struct Containers {
    /// Which cluster: part of the names of its network and of its containers.
    prefix: String,
    _network: Network,
    /// The NATS server.
    pub nats: Machine,
    /// The master.
    pub master: Machine,
    /// The secondaries.
    pub secondaries: [Machine; 2],
}

/// One container, once it is started, and a client of the node in it.
#[derive(Debug)]
pub struct Machine {
    name: &'static str,
    container_name: String,
    network: String,
    port: u16,
    container: Option<ContainerAsync<GenericImage>>,
    /// A client of the node; of no use for nats-server.
    pub client: Client,
}

impl Containers {
    /// A cluster of which nothing runs but nats-server.
    ///
    /// # Panics
    /// An image is missing, or Docker fails; the message says what to run.
    pub async fn idle() -> Containers {
        let prefix = format!("replog-test-{:08x}", fastrand::u32(..));
        let network = Network::create(&prefix);
        let machine = |name| Machine::new(name, &prefix);
        let secondaries = ["secondary1", "secondary2"].map(machine);
        let (nats, master) = (machine("nats"), machine("master"));
        let mut cluster = Containers { prefix: prefix.clone(), _network: network, nats, master, secondaries };
        cluster.nats.run_nats().await;
        cluster
    }

    /// A cluster of which everything runs and the master has admitted every secondary.
    pub async fn running() -> Containers {
        let mut cluster = Containers::idle().await;
        cluster.start_secondary(1).await;
        cluster.start_secondary(2).await;
        cluster.start_master().await;
        cluster.all_healthy().await;
        cluster
    }

    /// Runs the master for the first time.
    pub async fn start_master(&mut self) {
        self.master
            .run_node("/replog-master", &["--secondaries", "secondary1,secondary2", "--allow-clean"])
            .await;
    }

    /// Runs the secondary of this number, counted from 1, for the first time.
    pub async fn start_secondary(&mut self, number: usize) {
        self.secondaries[number - 1].run_node("/replog-secondary", &["--allow-faults"]).await;
    }

    /// The secondary of this number, counted from 1.
    pub fn secondary(&self, number: usize) -> &Machine {
        &self.secondaries[number - 1]
    }

    /// A client of the master.
    pub fn client(&self) -> Client {
        self.master.client.clone()
    }

    /// Waits until the master calls a secondary `status`.
    pub async fn wait_for_status(&self, number: usize, status: &str) {
        let name = self.secondary(number).name;
        let what = format!("the master calls {name} {status}");
        let is = async || self.client().health().await["secondaries"][name]["status"] == status;
        wait_until(&what, SOON, is).await;
    }

    /// Waits until the master calls every secondary healthy and counts its acks.
    pub async fn all_healthy(&self) {
        wait_until("every secondary is healthy", SOON, async || {
            self.client().health().await["status"] == "ok"
        })
        .await;
    }

    /// Waits until every node shows what the master shows, and gives that.
    pub async fn equal_logs(&self) -> Vec<super::Entry> {
        let readers = self.secondaries.each_ref().map(|machine| machine.client.clone());
        super::cluster::equal_logs(&self.client(), &readers, SOON).await
    }
}

impl Machine {
    fn new(name: &'static str, network: &str) -> Machine {
        let port = ports::free();
        let client = Client::new(format!("http://127.0.0.1:{port}"));
        let container_name = format!("{network}-{name}");
        Machine { name, container_name, network: network.to_owned(), port, container: None, client }
    }

    async fn run_nats(&mut self) {
        let image = image("REPLOG_NATS_IMAGE", "nats:2.15.1");
        let request = image.with_cmd(["--addr", "0.0.0.0", "--port", "4222"]);
        let request = request.with_mapped_port(self.port, 4_222.tcp());
        self.container = Some(self.run(request).await);
        let is_open = async || tokio::net::TcpStream::connect(("127.0.0.1", self.port)).await.is_ok();
        wait_until("nats-server takes connections", SOON, is_open).await;
    }

    async fn run_node(&mut self, program: &str, args: &[&str]) {
        let listen = format!("0.0.0.0:{NODE_PORT}");
        let nats_url = format!("nats://{}-nats:4222", self.network);
        let common =
            ["--name", self.name, "--listen", &listen, "--nats-url", &nats_url, "--durability", "memory"];
        let image = image("REPLOG_NODE_IMAGE", "replog-node:testing").with_entrypoint(program);
        let request = image.with_cmd(common.iter().chain(args).copied());
        let request = request.with_mapped_port(self.port, NODE_PORT.tcp());
        self.container = Some(self.run(request).await);
        self.is_ready().await;
    }

    async fn run(
        &self,
        request: testcontainers::ContainerRequest<GenericImage>,
    ) -> ContainerAsync<GenericImage> {
        let request = request
            .with_network(&self.network)
            .with_container_name(&self.container_name)
            .with_startup_timeout(START_LIMIT);
        request.start().await.unwrap_or_else(|error| panic!("{} cannot be run: {error}", self.container_name))
    }

    async fn is_ready(&self) {
        wait_until(&format!("{} is ready", self.name), SOON, async || self.client.is_ready().await).await;
    }

    fn container(&self) -> &ContainerAsync<GenericImage> {
        self.container.as_ref().unwrap_or_else(|| panic!("{} was never run", self.name))
    }

    /// Kills what runs in it; what it held in memory is gone.
    pub async fn stop(&self) {
        self.container().stop_with_timeout(Some(0)).await.expect("a container can be stopped");
    }

    /// Starts it again, and waits until the node in it is ready.
    pub async fn start_again(&self) {
        self.container().start().await.expect("a container can be started again");
        if self.name != "nats" {
            self.is_ready().await;
        }
    }

    /// It holds everything it has, and does nothing.
    pub async fn pause(&self) {
        self.container().pause().await.expect("a container can be paused");
    }

    /// It goes on.
    pub async fn resume(&self) {
        self.container().unpause().await.expect("a container can be unpaused");
    }

    /// Cuts it off: nothing goes in or out, and no connection is reset.
    pub fn disconnect(&self) {
        docker(&["network", "disconnect", &self.network, &self.container_name]);
    }

    /// Heals the cut.
    pub fn connect(&self) {
        docker(&["network", "connect", &self.network, &self.container_name]);
    }
}

impl Drop for Containers {
    fn drop(&mut self) {
        if std::thread::panicking() {
            for machine in self.secondaries.iter().chain([&self.master]).filter(|one| one.container.is_some())
            {
                show_log(machine);
            }
        }
        let names =
            ["nats", "master", "secondary1", "secondary2"].map(|name| format!("{}-{name}", self.prefix));
        // Those that were never started are not there.
        let _some_are_missing =
            Command::new("docker").args(["rm", "--force", "--volumes"]).args(names).output();
    }
}

#[expect(clippy::print_stderr, reason = "a test that fails shows there what its containers logged")]
fn show_log(machine: &Machine) {
    let logs = Command::new("docker").args(["logs", "--tail", "40", &machine.container_name]).output();
    let shown = logs.map(|logs| [logs.stdout, logs.stderr].concat()).unwrap_or_default();
    eprintln!("--- log of {} ---\n{}", machine.name, String::from_utf8_lossy(&shown));
}

/// A Docker network; dropping it removes it.
#[derive(Debug)]
struct Network(String);

impl Network {
    fn create(name: &str) -> Network {
        docker(&["network", "create", name]);
        Network(name.to_owned())
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        let _already_gone = Command::new("docker").args(["network", "rm", &self.0]).output();
    }
}

/// The image that the variable names, else `default`.
fn image(variable: &str, default: &str) -> GenericImage {
    let full = env::var(variable).unwrap_or_else(|_| default.to_owned());
    let found = Command::new("docker").args(["image", "inspect", &full]).output();
    let is_there = found.is_ok_and(|found| found.status.success());
    assert!(is_there, "the image {full} is missing: run `cargo xtask images`");
    let (name, tag) = full.rsplit_once(':').unwrap_or((&full, "latest"));
    GenericImage::new(name, tag)
}

fn docker(args: &[&str]) {
    let output = Command::new("docker").args(args).output().expect("the docker command is installed");
    let words = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "docker {} failed: {words}", args.join(" "));
}
