//! Operators' calls: `shardforge init` and `shardforge status`, both sides.

use std::rc::Rc;
use std::time::Duration;

use shardforge_core::base::error::sqlstate;
use shardforge_core::node::input::{OperatorAnswer, OperatorRequest};
use shardforge_core::node::status::ClusterStatus;
use shardforge_proto::admin::{cluster_to_wire, status_from_wire, status_to_wire};
use shardforge_proto::v1;
use shardforge_proto::v1::admin_client::AdminClient;
use tokio::sync::{mpsc, oneshot};
use tonic::transport::Channel;
use tonic::{Request, Response, Status};

use super::links::connect;
use crate::driver::Door;
use crate::password::NewPassword;
use crate::ports::Network;
use crate::security::Security;

/// The program's version, as `status` shows it.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");
/// How long a status may take: it is asked of one node only, which answers from memory.
const STATUS_TIMEOUT: Duration = Duration::from_secs(5);
/// `init` never waits longer, whatever is asked.
const INIT_TIMEOUT_MAX: Duration = Duration::from_secs(600);

/// A call that waits for the node.
pub enum AdminCall {
    /// `init`.
    Init(Duration, oneshot::Sender<Result<v1::InitReply, Status>>),
    /// `status`.
    Status(oneshot::Sender<Result<v1::StatusReply, Status>>),
}

/// The gRPC side of the server.
pub(super) struct AdminService {
    calls: mpsc::Sender<AdminCall>,
}

impl AdminService {
    pub(super) fn new(calls: mpsc::Sender<AdminCall>) -> Self {
        Self { calls }
    }

    async fn call<T>(
        &self,
        make: impl FnOnce(oneshot::Sender<Result<T, Status>>) -> AdminCall,
    ) -> Result<Response<T>, Status> {
        let (reply, answer) = oneshot::channel();
        let stopping = || Status::unavailable("the node stops");
        self.calls.send(make(reply)).await.map_err(|_| stopping())?;
        answer.await.map_err(|_| stopping())?.map(Response::new)
    }
}

#[tonic::async_trait]
impl v1::admin_server::Admin for AdminService {
    async fn init(
        &self,
        request: Request<v1::InitRequest>,
    ) -> Result<Response<v1::InitReply>, Status> {
        let timeout = Duration::from_millis(request.get_ref().timeout_ms).min(INIT_TIMEOUT_MAX);
        self.call(|reply| AdminCall::Init(timeout, reply)).await
    }

    async fn status(
        &self,
        _: Request<v1::StatusRequest>,
    ) -> Result<Response<v1::StatusReply>, Status> {
        self.call(AdminCall::Status).await
    }
}

/// Answers calls on the node's thread, each in a task of its own.
pub async fn answer(
    door: Rc<dyn Door>,
    mut calls: mpsc::Receiver<AdminCall>,
    security: Rc<Security>,
) {
    while let Some(call) = calls.recv().await {
        let (door, security) = (Rc::clone(&door), Rc::clone(&security));
        tokio::task::spawn_local(async move {
            // Whoever asked may have hung up.
            match call {
                AdminCall::Init(timeout, reply) => {
                    drop(reply.send(init(&*door, timeout, &security).await));
                }
                AdminCall::Status(reply) => drop(reply.send(status(&*door).await)),
            }
        });
    }
}

async fn ask(
    door: &dyn Door,
    request: OperatorRequest,
    timeout: Duration,
) -> Result<OperatorAnswer, Status> {
    match tokio::time::timeout(timeout, door.ask(request)).await {
        Ok(Ok(OperatorAnswer::Refused(error))) if error.state == sqlstate::CANNOT_CONNECT_NOW => {
            Err(Status::unavailable(error.message))
        }
        Ok(Ok(OperatorAnswer::Refused(error))) => Err(Status::failed_precondition(error.message)),
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(_)) => Err(Status::unavailable("the node stops")),
        Err(_) => Err(Status::deadline_exceeded("not all nodes of --join answered in time")),
    }
}

async fn init(
    door: &dyn Door,
    timeout: Duration,
    security: &Security,
) -> Result<v1::InitReply, Status> {
    let mut entropy = [0; 32];
    (security.entropy)(&mut entropy);
    let password = match &security.directory {
        Some(directory) => Some(
            NewPassword::prepare(directory)
                .map_err(|error| Status::internal(format!("cannot write the password: {error}")))?,
        ),
        None => None,
    };
    let superuser = password.as_ref().map(NewPassword::verifier);
    match ask(door, OperatorRequest::Init { entropy, superuser }, timeout).await? {
        OperatorAnswer::Initialised(cluster) => {
            let file = match password {
                Some(password) => password
                    .keep()
                    .map_err(|error| {
                        Status::internal(format!("cannot keep the password: {error}"))
                    })?
                    .display()
                    .to_string(),
                None => String::new(),
            };
            Ok(v1::InitReply {
                cluster_id: cluster_to_wire(cluster),
                password_file: file,
                sql_addr: security.sql_addr.clone(),
            })
        }
        _ => Err(Status::internal("the node answered something else")),
    }
}

async fn status(door: &dyn Door) -> Result<v1::StatusReply, Status> {
    match ask(door, OperatorRequest::Status, STATUS_TIMEOUT).await? {
        OperatorAnswer::Status(status) => Ok(status_to_wire(status, VERSION)),
        _ => Err(Status::internal("the node answered something else")),
    }
}

/// What a client of the admin service is told.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum AdminError {
    /// Nobody answered there.
    #[error("{0}")]
    Unreachable(String),
    /// The node said no.
    #[error("{0}")]
    Refused(String),
}

async fn client<N: Network>(
    network: N,
    address: &str,
    timeout: Duration,
) -> Result<AdminClient<Channel>, AdminError> {
    let channel = connect(network, address, timeout).await.map_err(|reason| {
        AdminError::Unreachable(format!("{address} does not answer: {reason}"))
    })?;
    Ok(AdminClient::new(channel))
}

fn refused(status: Status) -> AdminError {
    match status.code() {
        tonic::Code::Unavailable | tonic::Code::Cancelled | tonic::Code::Unknown => {
            AdminError::Unreachable(status.message().to_owned())
        }
        _ => AdminError::Refused(status.message().to_owned()),
    }
}

/// Asks a node to make the cluster.
///
/// # Errors
///
/// [`AdminError`].
pub async fn request_init<N: Network>(
    network: N,
    address: &str,
    timeout: Duration,
) -> Result<v1::InitReply, AdminError> {
    let mut client = client(network, address, timeout.min(Duration::from_secs(5))).await?;
    let timeout_ms = u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX);
    let asked = client.init(v1::InitRequest { timeout_ms });
    match tokio::time::timeout(timeout + Duration::from_secs(1), asked).await {
        Ok(reply) => reply.map(Response::into_inner).map_err(refused),
        Err(_) => Err(AdminError::Refused("the node did not answer in time".into())),
    }
}

/// Asks a node for the cluster's status and its program's version.
///
/// # Errors
///
/// [`AdminError`].
pub async fn request_status<N: Network>(
    network: N,
    address: &str,
) -> Result<(ClusterStatus, String), AdminError> {
    let mut client = client(network, address, STATUS_TIMEOUT).await?;
    match tokio::time::timeout(STATUS_TIMEOUT, client.status(v1::StatusRequest {})).await {
        Ok(Ok(reply)) => {
            let reply = reply.into_inner();
            let version = reply.version.clone();
            Ok((status_from_wire(reply), version))
        }
        Ok(Err(status)) => Err(refused(status)),
        Err(_) => Err(AdminError::Unreachable(format!("{address} did not answer in time"))),
    }
}
