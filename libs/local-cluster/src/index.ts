export { FileDamaged } from './atomic-file.ts';
export { createBrokers, startBroker, startBrokers, type Broker, type BrokerOptions } from './broker.ts';
export { ChildFailed, type Child, type Exit } from './child.ts';
export { readClusterFile, type ClusterFile } from './cluster-file.ts';
export {
  ClusterInUse,
  DirectoryDenied,
  startLocalCluster,
  type ClusterProcess,
  type LocalCluster,
  type LocalClusterOptions,
} from './cluster.ts';
export { ensureKafkaJars, hasKafkaJars, type KafkaJars } from './kafka-jars.ts';
export { KAFKA_VERSION } from './kafka-pom.ts';
export { LayoutMismatch, SHARDS_MAX } from './layout.ts';
export { DirectoryNotACluster } from './own-entries.ts';
export { freePort, freePorts } from './ports.ts';
export type { Passwords } from './postgres-init.ts';
export { createPostgres, newPasswords, startPostgres, type Postgres, type PostgresOptions } from './postgres.ts';
export { isRunning, type ProcessMark } from './proc.ts';
export { TENANT } from './secrets.ts';
export { createService, type Service, type ServiceSpec } from './service.ts';
export type { Tune } from './services.ts';
