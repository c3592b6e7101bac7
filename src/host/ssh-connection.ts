/**
 * One connection to a node, with many programs over it at once.
 *
 * Guarantees: it is never opened to a host whose key we do not know; it is open or refused within its deadline; when
 * it dies, by a reset or by silence, `lost` tells so within keepaliveIntervalMs × (keepaliveCount + 1), and everybody
 * who waits for something on it gets an error. No more channels are open than the other side allows.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Client, ClientChannel, ServerHostKeyAlgorithm } from 'ssh2';
import { CxmError } from '../errors.ts';
import { ChannelSlots } from './channel-slots.ts';
import { hostKeyError } from './host-key-error.ts';
import { judgeHostKey, knownKeyTypes, typeOfKey, type KnownHostLine } from './known-hosts.ts';
import { findIdentities, type Identities } from './ssh-identities.ts';
import { loadSshLibrary, type SshLibrary } from './ssh-library.ts';
import type { SshSettings } from './ssh-settings.ts';

/** A session that sshd still counts is forgotten soon. */
const maxRefusals = 5;
const refusalPauseMs = 100;

export interface ConnectionTimes {
  /** From the first packet to the login. */
  readonly connectTimeoutMs: number;
  readonly keepaliveIntervalMs: number;
  /** So many keepalives may stay without an answer. */
  readonly keepaliveCount: number;
}

/** What the other side says when it has enough channels. */
class RefusedChannel {
  constructor(readonly message: string) {}
}

export class SshConnection {
  /** Why the connection is gone, once it is. */
  lost: CxmError | undefined;
  private readonly losses = new Set<(error: CxmError) => void>();
  private readonly slots = new ChannelSlots();

  private constructor(
    readonly node: string,
    readonly user: string,
    private readonly client: Client,
  ) {
    const fail = (why: string): void => this.lose(why);
    client.on('error', (error) => fail(lossOf(error)));
    client.on('end', () => fail('the node closed it'));
    client.on('close', () => fail('the node closed it'));
  }

  /**
   * Connects and logs in.
   * @throws CxmError HOST_UNREACHABLE, HOST_KEY, ACCESS_DENIED
   */
  static async open(
    settings: SshSettings,
    knownHosts: readonly KnownHostLine[],
    times: ConnectionTimes,
  ): Promise<SshConnection> {
    const library = await loadSshLibrary();
    const identities = await findIdentities(library, settings);
    const client = new library.Client();
    try {
      await logIn(client, { library, settings, knownHosts, times, identities });
    } catch (error) {
      client.on('error', () => undefined);
      client.destroy();
      throw error;
    }
    return new SshConnection(settings.node, settings.user, client);
  }

  /**
   * Runs a command as soon as a channel is free. An error of its own means that `begin` was not called.
   * @param begin is called before anything is read from the channel; the channel counts as used until its end
   * @throws CxmError HOST_UNREACHABLE; TIMEOUT if no channel becomes free within `waitMs`; what `begin` throws
   */
  async run<T>(command: string, waitMs: number, begin: (channel: ClientChannel) => Promise<T>): Promise<T> {
    for (let alone = 0; ;) {
      const release = await this.slots.take(waitMs, this.node);
      try {
        const opened = await this.open(command, waitMs, begin);
        if (!(opened instanceof RefusedChannel)) {
          this.slots.grow();
          return await opened.end;
        }
        // The other side allows fewer than we thought: with others of ours open, wait for one of them.
        alone = this.slots.used > 1 ? 0 : alone + 1;
        this.slots.reduce();
        if (alone > maxRefusals) throw new CxmError('HOST_UNREACHABLE', opened.message);
      } finally {
        release();
      }
      if (alone > 0) await sleep(refusalPauseMs);
    }
  }

  /** Calls back when the connection is lost, at once if it is already; the result takes the call back. */
  onLost(listener: (error: CxmError) => void): () => void {
    if (this.lost !== undefined) listener(this.lost);
    else this.losses.add(listener);
    return () => this.losses.delete(listener);
  }

  /** Ends the connection; who still waits on it gets an error. */
  close(): void {
    this.lose('cxm closed it');
  }

  private open<T>(
    command: string,
    waitMs: number,
    begin: (channel: ClientChannel) => Promise<T>,
  ): Promise<{ readonly end: Promise<T> } | RefusedChannel> {
    return new Promise((resolve, reject) => {
      if (this.lost !== undefined) return reject(this.lost);
      let isOver = false;
      const stop = (error: CxmError): void => {
        isOver = true;
        forget();
        clearTimeout(timer);
        reject(error);
      };
      const forget = this.onLost(stop);
      const slow = `${this.node} did not start a command over ssh within ${waitMs} ms`;
      const timer = setTimeout(() => stop(new CxmError('TIMEOUT', slow)), waitMs);
      this.client.exec(command, (error, channel) => {
        if (isOver) return error === undefined ? channel.close() : undefined;
        forget();
        clearTimeout(timer);
        if (error === undefined) return resolve({ end: begin(channel) });
        const why = `${this.node} opens no channel over ssh: ${error.message}`;
        if ('reason' in error && error.reason !== '') return resolve(new RefusedChannel(why));
        stop(new CxmError('COMMAND', `${this.node} runs no command over ssh: ${error.message}`));
      });
    });
  }

  private lose(why: string): void {
    if (this.lost !== undefined) return;
    this.lost = new CxmError('HOST_UNREACHABLE', `the ssh connection to ${this.node} is lost: ${why}`);
    this.slots.fail(this.lost);
    for (const listener of this.losses) listener(this.lost);
    this.losses.clear();
    // What it still says about its end is of no interest, but must not end the process.
    this.client.on('error', () => undefined);
    this.client.destroy();
  }
}

/** The loss of a connection over which a program was started. */
export function perhapsRun(loss: CxmError): CxmError {
  return new CxmError(loss.code, loss.message, { hint: loss.hint, cause: loss, changed: 'maybe' });
}

function lossOf(error: Error & { level?: string }): string {
  return error.level === 'client-timeout' ? 'the node does not answer any more' : error.message;
}

interface Login {
  readonly library: SshLibrary;
  readonly settings: SshSettings;
  readonly knownHosts: readonly KnownHostLine[];
  readonly times: ConnectionTimes;
  readonly identities: Identities;
}

/** As the kernel says it, which takes longer. */
function nothingCameBack(): Error {
  return Object.assign(new Error('nothing came back'), { code: 'ETIMEDOUT' });
}

function logIn(client: Client, login: Login): Promise<void> {
  const { settings, knownHosts, times, identities } = login;
  const { node, hostName, port, user } = settings;
  const keyName = settings.hostKeyAlias ?? hostName;
  const keyPort = settings.hostKeyAlias === undefined ? port : 22;
  const where = hostName === node && port === 22 ? node : `${node} (${hostName}, port ${port})`;
  return new Promise((resolve, reject) => {
    let refused: CxmError | undefined;
    const notes: string[] = [];
    const fail = (why: string, cause?: Error): void => {
      clearTimeout(timer);
      reject(refused ?? new CxmError('HOST_UNREACHABLE', `${where} can't be reached over ssh: ${why}`, { cause }));
    };
    const timeoutMs = settings.connectTimeoutMs ?? times.connectTimeoutMs;
    let isThere = false;
    const late = `it has not let us in within ${timeoutMs} ms`;
    const timer = setTimeout(() => fail(late, isThere ? undefined : nothingCameBack()), timeoutMs);
    client.on('connect', () => (isThere = true));
    client.on('ready', () => {
      // A command is a few small packets, one after the other: none of them waits for company.
      client.setNoDelay(true);
      clearTimeout(timer);
      resolve();
    });
    client.on('error', (error: Error & { level?: string }) => {
      // A key that can't sign is no reason to give up: the library goes on with the next one.
      const goesOn = error.level === 'agent' || (error.level === 'client-authentication' && refused === undefined);
      if (goesOn) return void notes.push(error.message);
      const isTooMany = /too many authentication failures/i.test(error.message);
      if (isTooMany)
        refused ??= accessDenied(where, user, identities, '; it takes no more (IdentitiesOnly in ssh_config)');
      fail(error.message, error);
    });
    client.on('close', () => fail(notes.at(-1) ?? 'it closed the connection'));
    const waiting = [...identities.methods];
    client.connect({
      host: hostName,
      port,
      username: user,
      forceIPv4: settings.addressFamily === 'inet',
      forceIPv6: settings.addressFamily === 'inet6',
      readyTimeout: 0,
      keepaliveInterval: times.keepaliveIntervalMs,
      keepaliveCountMax: times.keepaliveCount,
      algorithms: { serverHostKey: hostKeyAlgorithms(knownKeyTypes(knownHosts, keyName, keyPort)) },
      hostVerifier: (key: Buffer) => {
        const verdict = judgeHostKey(knownHosts, keyName, keyPort, key);
        if (verdict.kind !== 'known') refused = hostKeyError(settings, typeOfKey(key) ?? 'unknown', verdict);
        return verdict.kind === 'known';
      },
      authHandler: (left, _partial, next) => {
        const takesKeys = left === null || left.includes('publickey');
        const method = takesKeys ? waiting.shift() : undefined;
        if (method !== undefined) return next(method);
        refused = accessDenied(where, user, identities, takesKeys ? '' : `; it takes only ${left.join(', ')}`);
        (next as unknown as (none: false) => void)(false);
      },
    });
  });
}

function accessDenied(where: string, user: string, { notes }: Identities, more: string): CxmError {
  const tried = notes.length === 0 ? 'there is no key to try' : `tried ${notes.join(', ')}`;
  return new CxmError('ACCESS_DENIED', `${where} does not let ${user} in over ssh: ${tried}${more}`);
}

/** All that the library can verify, and that OpenSSH still believes, the known ones first. */
const algorithmsOfType: Readonly<Record<string, readonly ServerHostKeyAlgorithm[]>> = {
  'ssh-ed25519': ['ssh-ed25519'],
  'ecdsa-sha2-nistp256': ['ecdsa-sha2-nistp256'],
  'ecdsa-sha2-nistp384': ['ecdsa-sha2-nistp384'],
  'ecdsa-sha2-nistp521': ['ecdsa-sha2-nistp521'],
  'ssh-rsa': ['rsa-sha2-512' as ServerHostKeyAlgorithm, 'rsa-sha2-256' as ServerHostKeyAlgorithm],
};

/** A host has several keys and shows the one that we ask for: ask for one that we know. */
export function hostKeyAlgorithms(knownTypes: readonly string[]): ServerHostKeyAlgorithm[] {
  const types = [...new Set([...knownTypes, ...Object.keys(algorithmsOfType)])];
  return types.flatMap((type) => algorithmsOfType[type] ?? []);
}
