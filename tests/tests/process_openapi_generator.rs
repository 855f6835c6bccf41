//! OpenAPI Generator makes clients in Python of the descriptions of both kinds of node.

use std::path::Path;

use replog_tests::harness::{
    Client, Cluster,
    clients::{call_nodes, description, python},
};

/// Makes the package `name` of the description that a node serves.
async fn generate(client: &Client, folder: &Path, name: &str) {
    let described = description(client, folder).await;
    let [described, out] = [described.as_path(), folder].map(|path| path.to_string_lossy().into_owned());
    let only = "models,apis,supportingFiles,modelTests=false,apiTests=false,modelDocs=false,apiDocs=false";
    let args = ["generate", "-g", "python", "-i", &described, "-o", &out, "--package-name", name];
    let args = args.into_iter().chain(["--global-property", only]);
    python("openapi-generator-cli", args.map(str::to_owned)).await;
}

#[tokio::test]
async fn openapi_generator_makes_clients_of_both_descriptions_that_work() {
    let cluster = Cluster::running().await;
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    generate(&cluster.client(), folder.path(), "replog_master").await;
    generate(&cluster.reader(1), folder.path(), "replog_secondary").await;
    call_nodes(&cluster, "openapi_generator.py", folder.path(), None).await;
}
