/**
 * What systemd is told, by its own program: readiness, status, and that the daemon lives. Without systemd nothing is done.
 * The name of the socket is taken out of the environment, so that no program that the daemon starts speaks for it.
 */
import { spawn } from 'node:child_process';

export interface SystemdLink {
  /** @param assignments as sd_notify(3) has them: its program's options for them differ between versions */
  notify(...assignments: readonly string[]): void;
  /** Says each second what `systemctl status` is to show, if it has changed. Until the end of the process, as the next. */
  follow(status: () => string): void;
  startWatchdog(): void;
}

export function linkToSystemd(env: NodeJS.ProcessEnv): SystemdLink {
  const socket = env['NOTIFY_SOCKET'];
  const watchdogMs = Number(env['WATCHDOG_USEC'] ?? 0) / 1000;
  delete env['NOTIFY_SOCKET'];
  delete env['WATCHDOG_USEC'];
  delete env['WATCHDOG_PID'];
  const notify = (...assignments: readonly string[]): void => {
    if (socket === undefined) return;
    const child = spawn('systemd-notify', [...assignments], {
      stdio: 'ignore',
      env: { ...env, NOTIFY_SOCKET: socket },
    });
    child.on('error', () => undefined);
  };
  return {
    notify,
    follow(status) {
      if (socket === undefined) return;
      let told: string | undefined;
      const tell = (): void => {
        const now = status();
        if (now !== told) notify(`STATUS=${now}`);
        told = now;
      };
      setInterval(tell, 1000).unref();
    },
    startWatchdog() {
      if (watchdogMs > 0) setInterval(() => notify('WATCHDOG=1'), watchdogMs / 2).unref();
    },
  };
}
