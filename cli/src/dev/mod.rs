//! `replog dev`: a whole cluster in one process.

mod nats_server;

use std::{
    net::{Ipv4Addr, SocketAddr},
    path::PathBuf,
};

use clap::Args;
use replog_host::{
    bus::{InProcessHub, NatsBus, NatsOptions},
    descriptors::{self, Fewer},
    edge::EdgeLimits,
    stop::Stop,
};
use replog_shared::{LogName, NodeName, subjects::Subjects};

use crate::{failure::Failure, output};
use nats_server::NatsServer;

/// Start a whole cluster in this process: a master and its secondaries, in memory, to try things out.
///
/// The nodes talk over the NATS of --nats-url; without it over a nats-server of their own, if one is found on
/// PATH; failing both, within the process. Everything is gone when it ends.
#[derive(Args)]
pub(crate) struct Dev {
    /// How many secondaries.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u16).range(0..=20))]
    secondaries: u16,
    /// Port of the master; the secondaries take the ones behind it.
    #[arg(long, default_value_t = 5000, value_parser = clap::value_parser!(u16).range(1..=65_000))]
    port: u16,
    /// NATS servers, comma-separated.
    #[arg(long, env = "NATS_URL", hide_env_values = true, value_name = "URL[,URL]")]
    nats_url: Option<String>,
    /// Which log.
    #[arg(long, env = "REPLOG_LOG", default_value = "main")]
    log: LogName,
}

/// What carries the nodes' envelopes.
enum Transport {
    Nats { urls: Vec<String>, server: Option<Box<NatsServer>> },
    InProcess(InProcessHub),
}

/// The cluster that runs.
struct Cluster {
    master: replog_master::Running,
    secondaries: Vec<replog_secondary::Running>,
}

impl Dev {
    /// Runs until the process is told to stop.
    ///
    /// # Errors
    /// A node cannot start.
    pub(crate) async fn run(self) -> Result<(), Failure> {
        replog_host::telemetry::init(false);
        // From here on: a nats-server that was started for the nodes must not outlive them.
        let mut stop = Stop::listen();
        let mut transport = self.transport()?;
        let cluster = self.start(&transport).await.map_err(|error| Failure::Bad(format!("{error:#}")))?;
        self.welcome(&cluster, &transport);
        stop.requested().await;
        cluster.stop().await;
        transport.stop().await;
        Ok(())
    }

    fn transport(&self) -> Result<Transport, Failure> {
        if let Some(urls) = &self.nats_url {
            let urls = urls.split(',').map(str::to_owned).collect();
            return Ok(Transport::Nats { urls, server: None });
        }
        let Some(program) = find_on_path("nats-server") else {
            return Ok(Transport::InProcess(InProcessHub::new()));
        };
        let server = NatsServer::start(&program)?;
        Ok(Transport::Nats { urls: vec![server.url()], server: Some(Box::new(server)) })
    }

    fn names(&self) -> anyhow::Result<Vec<NodeName>> {
        (1..=self.secondaries).map(|nth| Ok(format!("secondary{nth}").parse()?)).collect()
    }

    async fn start(&self, transport: &Transport) -> anyhow::Result<Cluster> {
        let address = |nth: u16| SocketAddr::from((Ipv4Addr::LOCALHOST, self.port + nth));
        let names = self.names()?;
        let mut limits = EdgeLimits::default();
        if let Some(Fewer { connections, .. }) = descriptors::fit(&mut limits, names.len() as u64 + 1) {
            output::say(format_args!(
                "each node takes {connections} connections, as this process may open no more files; `ulimit -n` raises that"
            ));
        }
        let mut secondaries = Vec::new();
        for (name, nth) in names.iter().zip(1..) {
            secondaries
                .push(self.start_secondary(transport, name.clone(), address(nth), limits.clone()).await?);
        }
        let mut config =
            replog_master::Config::in_process(address(0), self.log.clone(), names, "master".parse()?);
        config.edge.limits = limits;
        config.allow_clean = true;
        config.advertise_url = Some(format!("http://{}", address(0)));
        let translator = replog_master::app::translator(&config);
        let (subscriptions, inbox) = (translator.subscriptions(), translator.inbox().to_owned());
        let master = match transport {
            Transport::Nats { urls, .. } => {
                config.nats = NatsOptions::new(urls, "replog dev master");
                config.nats_append = true;
                let bus = NatsBus::connect(config.nats.clone(), subscriptions, inbox).await?;
                let bus = bus.looking_for_streams_over(Subjects::new(self.log.clone()).all());
                replog_master::start(config, bus).await?
            }
            Transport::InProcess(hub) => {
                replog_master::start(config, hub.connect(subscriptions, &inbox)).await?
            }
        };
        Ok(Cluster { master, secondaries })
    }

    async fn start_secondary(
        &self,
        transport: &Transport,
        name: NodeName,
        address: SocketAddr,
        limits: EdgeLimits,
    ) -> anyhow::Result<replog_secondary::Running> {
        let mut config = replog_secondary::Config::in_process(address, self.log.clone(), name);
        config.edge.limits = limits;
        config.allow_faults = true;
        let translator = replog_secondary::app::translator(&config);
        let (subscriptions, inbox) = (translator.subscriptions(), translator.inbox().to_owned());
        match transport {
            Transport::Nats { urls, .. } => {
                let options = NatsOptions::new(urls, format!("replog dev {}", config.name));
                replog_secondary::start(config, NatsBus::connect(options, subscriptions, inbox).await?).await
            }
            Transport::InProcess(hub) => {
                replog_secondary::start(config, hub.connect(subscriptions, &inbox)).await
            }
        }
    }

    fn welcome(&self, cluster: &Cluster, transport: &Transport) {
        let master = cluster.master.addr;
        let mut text = format!("\nmaster      http://{master}\n");
        for (nth, secondary) in cluster.secondaries.iter().enumerate() {
            text += &format!("secondary{:<2} http://{}\n", nth + 1, secondary.addr);
        }
        text += &match transport {
            Transport::Nats { urls, server } => {
                let own = if server.is_some() { " (started for this cluster)" } else { "" };
                let url = urls.join(",");
                let subject = Subjects::new(self.log.clone()).append();
                format!(
                    "NATS        {url}{own}\n\nWatch:   nats --server {url} sub 'replog.>'\nAppend:  nats --server {url} req {subject} '{{\"message\": \"hello\"}}'\n"
                )
            }
            Transport::InProcess(_) => {
                "NATS        none: the nodes talk within this process (put nats-server on PATH to watch them)\n"
                    .to_owned()
            }
        };
        let reader = cluster.secondaries.first().map_or(master, |secondary| secondary.addr);
        text += &format!(
            "\nTry:\n  curl {master}/messages -H 'Content-Type: application/json' -d '{{\"message\": \"hello\", \"w\": {}}}'\n  curl {reader}/messages\n  curl {master}/health\n\nctrl-c stops it.\n",
            (self.secondaries + 1).min(2)
        );
        output::say(format_args!("{text}"));
    }
}

impl Cluster {
    async fn stop(self) {
        if let Err(failure) = self.master.stop().await {
            output::say(format_args!("the master did not stop well: {failure}"));
        }
        for secondary in self.secondaries {
            if let Err(failure) = secondary.stop().await {
                output::say(format_args!("a secondary did not stop well: {failure}"));
            }
        }
    }
}

impl Transport {
    async fn stop(&mut self) {
        if let Transport::Nats { server: Some(server), .. } = self {
            server.stop().await;
        }
    }
}

fn find_on_path(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(program)).find(|candidate| candidate.is_file())
}
