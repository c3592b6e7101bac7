/**
 * With which keys we ask a node to let us in: those of the agent first, the ones that ssh_config names before all
 * others, then the key files themselves. Nobody is there to type a passphrase, so an encrypted file serves only through
 * the agent; that, and files which others may read, are remembered for the message when the node lets us not in.
 */
import { readFile, stat } from 'node:fs/promises';
import type { AnyAuthMethod, BaseAgent, ParsedKey } from 'ssh2';
import type { SshLibrary } from './ssh-library.ts';
import type { SshSettings } from './ssh-settings.ts';

/** An agent that waits for somebody is not waited for. */
const agentTimeoutMs = 3000;

export interface Identities {
  readonly methods: readonly AnyAuthMethod[];
  /** What was tried, or why it was not, as half sentences. */
  readonly notes: readonly string[];
}

interface KeyFile {
  readonly path: string;
  /** What an agent would call it; undefined if only the passphrase tells. */
  readonly publicKey: Buffer | undefined;
  /** The key, if it can be used as it is. */
  readonly privateKey: Buffer | undefined;
  /** Why it can't be used. */
  readonly obstacle: string | undefined;
}

/** Everything with which a login may be tried. Never fails: what can't be read is a note. */
export async function findIdentities(library: SshLibrary, settings: SshSettings): Promise<Identities> {
  const { user: username, agentSocket, identitiesOnly } = settings;
  const found = await Promise.all(settings.identityFiles.map((path) => readKeyFile(library, path)));
  const files = found.filter((file) => file !== undefined);
  const notes: string[] = [];
  const methods: AnyAuthMethod[] = [];
  const agent = agentSocket === undefined ? undefined : library.createAgent(agentSocket);
  const offered = agent === undefined ? [] : await identitiesOf(agent, notes);
  const isNamed = (key: ParsedKey): boolean => files.some((file) => file.publicKey?.equals(key.getPublicSSH()));
  const named = offered.filter(isNamed);
  const chosen = identitiesOnly ? named : [...named, ...offered.filter((key) => !isNamed(key))];
  if (agent !== undefined && chosen.length > 0) {
    methods.push({ type: 'agent', username, agent: selection(library, agent, chosen) });
    notes.push(chosen.length === 1 ? 'a key of the agent' : `${chosen.length} keys of the agent`);
  }
  for (const { path, publicKey, privateKey, obstacle } of files) {
    if (chosen.some((key) => publicKey?.equals(key.getPublicSSH()))) continue;
    if (privateKey !== undefined) methods.push({ type: 'publickey', username, key: privateKey });
    notes.push(obstacle === undefined ? path : `not ${path}, which ${obstacle}`);
  }
  return { methods, notes };
}

async function readKeyFile(library: SshLibrary, path: string): Promise<KeyFile | undefined> {
  try {
    const status = await stat(path);
    const publicKey = await readPublicKey(library, `${path}.pub`);
    const unusable = (obstacle: string): KeyFile => ({ path, publicKey, privateKey: undefined, obstacle });
    // As ssh: root's idea of other people's files is his own matter.
    if (status.uid === process.getuid?.() && (status.mode & 0o077) !== 0) {
      return unusable(`others may read (chmod 600 ${path})`);
    }
    if (!status.isFile() || status.size > 64 * 1024) return unusable('is no key file');
    const text = await readFile(path);
    const parsed = library.utils.parseKey(text);
    const key = Array.isArray(parsed) ? parsed[0] : parsed;
    if (key === undefined) return unusable('is empty');
    if (key instanceof Error) {
      const isEncrypted = /encrypted|passphrase/i.test(key.message);
      const why = isEncrypted ? `is encrypted, and no agent has it (ssh-add ${path})` : `can't be used: ${key.message}`;
      return unusable(why);
    }
    if (!key.isPrivateKey()) return { ...unusable('is a public key'), publicKey: key.getPublicSSH() };
    return { path, publicKey: key.getPublicSSH(), privateKey: text, obstacle: undefined };
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined;
    const obstacle = `can't be read: ${error instanceof Error ? error.message : String(error)}`;
    return { path, publicKey: undefined, privateKey: undefined, obstacle };
  }
}

async function readPublicKey(library: SshLibrary, path: string): Promise<Buffer | undefined> {
  try {
    const parsed = library.utils.parseKey(await readFile(path));
    return parsed instanceof Error || Array.isArray(parsed) ? undefined : parsed.getPublicSSH();
  } catch {
    return undefined;
  }
}

function identitiesOf(agent: BaseAgent, notes: string[]): Promise<readonly ParsedKey[]> {
  return new Promise((resolve) => {
    const timer = setTimeout(() => {
      notes.push('not the agent, which does not answer');
      resolve([]);
    }, agentTimeoutMs);
    agent.getIdentities((error, keys) => {
      clearTimeout(timer);
      if (error) notes.push(`not the agent, which can't be asked: ${error.message}`);
      resolve((keys ?? []).filter((key): key is ParsedKey => typeof key === 'object' && 'getPublicSSH' in key));
    });
  });
}

/** The agent, with only these keys to offer. */
function selection(library: SshLibrary, agent: BaseAgent, keys: readonly ParsedKey[]): BaseAgent {
  return new (class extends library.BaseAgent {
    override getIdentities(callback: Parameters<BaseAgent['getIdentities']>[0]): void {
      callback(undefined, [...keys]);
    }
    override sign(...args: unknown[]): void {
      (agent.sign as (...all: unknown[]) => void).apply(agent, args);
    }
  })();
}
