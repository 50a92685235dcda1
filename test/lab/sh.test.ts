import { expect, test } from "vitest";
import { bench } from "../support/lab.ts";

const cases: readonly (readonly [line: string, output: string, code?: number])[] = [
  ["echo a  'b  c' \"d $((1 + 2 * 3))\"", "a b  c d 7\n"],
  ['set -- x \'y z\'; for i in "$@"; do echo "<$i>"; done; echo $#', "<x>\n<y z>\n2\n"],
  ["set -- 'y z'; for i in $1; do echo \"<$i>\"; done", "<y>\n<z>\n"],
  ["a=1; a=2 true; echo $a ${b:-none} ${a:+set} ${#a}", "1 none set 1\n"],
  ["x=/a/b/c.txt; echo ${x##*/} ${x%/*} ${x%%/*} ${x#/a}", "c.txt /a/b /b/c.txt\n"],
  ["false || echo or; true && echo and; ! false && echo not", "or\nand\nnot\n"],
  ["if [ 1 -gt 2 ]; then echo a; elif [ -n x ]; then echo b; else echo c; fi", "b\n"],
  ["i=0; while [ $i -lt 3 ]; do i=$((i+1)); [ $i = 2 ] && continue; echo $i; done", "1\n3\n"],
  ["until false; do echo once; break; done", "once\n"],
  ["case abc in a*) echo starts;; *) echo no;; esac", "starts\n"],
  ["case 'a b' in 'a b' | c) echo quoted ;; esac", "quoted\n"],
  ['f() { echo "$1"; return 3; }; f hello; echo $?', "hello\n3\n"],
  ["(exit 4); echo $?; { echo g; }", "4\ng\n"],
  ["printf '%s-%d\\n' a 1 b 2", "a-1\nb-2\n"],
  ["printf 'b\\na\\nb\\n' | sort -u | tr '\\n' ','", "a,b,"],
  ["printf 'k: v\\nl: w\\n' | while IFS=: read -r k v; do echo \"$v=$k\"; done", " v=k\n w=l\n"],
  ["echo hi > /tmp/f; cat /tmp/f; echo more >> /tmp/f; wc -l < /tmp/f", "hi\n2\n"],
  ["(echo out; echo err >&2) 2>&1 | grep -c .", "2\n"],
  ["cat /nowhere 2>/dev/null; echo $?", "1\n"],
  ["set -e; false; echo never", "", 1],
  ["set -e; if false; then :; fi; false || true; echo on", "on\n"],
  ["set -u; echo $nothing", "", 2],
  ["IFS=,; set -- $(echo 'a,,b c'); echo \"$#$3\"", "3b c\n"],
  ["exit 7", "", 7],
  ["exec echo replaced; echo never", "replaced\n"],
  ["x=$(printf 'a\\n\\n'); echo \"[$x]\"", "[a]\n"],
  ["echo 'a.b' | cut -d. -f1; echo abcdef | cut -c1-3", "a\nabc\n"],
  ["printf 'x 1\\ny 2\\n' | sed -n 's/^y //p'", "2\n"],
  ["printf 'one\\ntwo\\n' | grep -n -F wo; echo X | grep -q -x -i x && echo yes", "2:two\nyes\n"],
  [
    "mkdir -p /tmp/a/b && touch /tmp/a/b/z /tmp/a/b/y && ls /tmp/a/b; echo /tmp/a/b/*",
    "y\nz\n/tmp/a/b/y /tmp/a/b/z\n",
  ],
  ["umask 077; mkdir /tmp/m; stat -c %a /tmp/m", "700\n"],
  ["ln -s /etc/hostname /tmp/l; readlink -f /tmp/l; readlink -e /nowhere; echo $?", "/etc/hostname\n1\n"],
  ["command -v sh >/dev/null && command -v nonesuch; echo $?", "127\n"],
  ["trap 'echo bye' EXIT; echo hi", "hi\nbye\n"],
  ["[ a = a -a b = b ] && [ ! -e /nowhere ] && test -d /etc && echo ok", "ok\n"],
  ["echo $(( 7 % 4 )) $(( (2 > 1) && !0 )) $((1 ? 5 : 6))", "3 1 5\n"],
  ["env A=1 sh -c 'echo $A $0 $1' name arg", "1 name arg\n"],
  ["date -u +%Y-%m-%dT%H", "2026-03-01T00\n"],
  ['echo "a\\"b\\$c"', 'a"b$c\n'],
];

for (const [line, output, code = 0] of cases)
  test(`sh -c ${JSON.stringify(line)} says what a POSIX shell says`, async () => {
    const { sh } = bench();
    const said = await sh("server1", line);
    expect([said.out, said.code]).toEqual([output, code]);
  });

test("a command that the lab does not know ends with 127 and is a gap", async () => {
  const { lab, sh, run } = bench();
  const said = await sh("server1", "frobnicate --now");
  expect([said.code, said.err]).toEqual([127, "sh: 1: frobnicate: not found\n"]);
  expect((await run("server1", "env A=1 frobnicate")).err).toContain("frobnicate");
  expect((await run("server1", "lsblk --topology")).code).toBe(127);
  expect(lab.heart.received.map((row) => row.class)).toEqual(["gap", "gap", "gap"]);
});

test("a look is a read, a change is a write, and its effects are booked to it", async () => {
  const { lab, sh } = bench();
  await sh("server1", "cat /etc/hostname; clpstat > /dev/null; [ -e /nowhere ]");
  await sh("server1", "mkdir -p /var/lib/x && echo a > /var/lib/x/f");
  const [look, change] = lab.heart.received;
  expect(look?.class).toBe("read");
  expect(change?.class).toBe("write");
  expect(change?.effects.map((n) => lab.heart.effects[n - 1]?.detail.kind)).toEqual([
    "folder-made",
    "file-written",
  ]);
});

test("files survive a reboot, but for /run and /tmp", async () => {
  const { lab, sh, until } = bench();
  await sh("server2", "echo a > /root/kept; echo b > /tmp/lost; echo c > /run/lost");
  const before = (await sh("server2", "cat /proc/sys/kernel/random/boot_id")).out;
  lab.rebootUnasked("server2");
  await until("down", () => !lab.node("server2").alive);
  await until("up", () => lab.node("server2").alive);
  expect((await sh("server2", "cat /root/kept; ls /tmp /run")).out).toBe("a\n");
  expect((await sh("server2", "cat /proc/sys/kernel/random/boot_id")).out).not.toBe(before);
});

test("a file that is no UTF-8 goes through cat unharmed", async () => {
  const { lab } = bench();
  const out = await lab.shell.run("server1", ["cat", "/opt/nec/clusterpro/etc/clp.conf"], {
    timeoutMs: 1000,
  });
  const decoded = new TextDecoder("euc-jp").decode(out.stdout);
  expect(decoded).toContain('<?xml version="1.0" encoding="EUC-JP"?>\r\n<root>');
  expect(decoded).toContain("<comment>本番</comment>");
});

test("timers of systemd-run act, are seen, and die with their boot", async () => {
  const { lab, sh, run, seconds, until } = bench();
  expect(
    (await run("server1", "systemd-run --collect --unit=t1 --on-active=30 sh -c ls>/dev/null")).code,
  ).toBe(0);
  await sh(
    "server1",
    "systemd-run --collect --unit=t2 --on-active=60 --timer-property=AccuracySec=1s sh -c 'echo fired > /root/t2'",
  );
  expect((await run("server1", "systemctl is-active t2.timer")).out).toBe("active\n");
  expect((await sh("server1", "systemctl show -p ActiveState --value t2.timer")).out).toBe("active\n");
  await seconds(61);
  expect((await sh("server1", "cat /root/t2; systemctl is-active t2.timer")).out).toBe("fired\ninactive\n");
  await sh("server1", "systemd-run --unit=t3 --on-active=600 sh -c 'echo fired > /root/t3'");
  lab.rebootUnasked("server1");
  await until("down", () => !lab.node("server1").alive);
  await seconds(700);
  expect((await sh("server1", "systemctl is-active t3.timer; ls /root")).out).toBe("inactive\nt2\n");
});

test("device names are dealt anew at each boot, and the serial leads to the volume", async () => {
  const { lab, sh, until } = bench({ mirrors: 3 });
  const seen = new Set<string>();
  for (let boot = 0; boot < 6; boot += 1) {
    const { blockdevices } = JSON.parse(
      (await sh("server2", "lsblk -J -b -o NAME,PATH,TYPE,SERIAL,SIZE,PARTUUID,MOUNTPOINTS,PKNAME")).out,
    ) as {
      blockdevices: { name: string; serial: string; children: { partuuid: string; path: string }[] }[];
    };
    expect(blockdevices[0]?.name).toBe("nvme0n1");
    seen.add(blockdevices.map(({ serial }) => serial).join());
    for (const disk of blockdevices.slice(1)) {
      expect(disk.serial).toMatch(/^vol[0-9a-f]{17}$/);
      const [, data] = disk.children;
      expect((await sh("server2", `readlink -e /dev/disk/by-partuuid/${data?.partuuid}`)).out).toBe(
        `${data?.path}\n`,
      );
    }
    lab.rebootUnasked("server2");
    await until("down", () => !lab.node("server2").alive);
    await until("up", () => lab.node("server2").alive);
  }
  expect(seen.size).toBeGreaterThan(1);
});

test("by letter, a disk has no serial", async () => {
  const { sh } = bench({ nvme: false });
  expect((await sh("server1", "lsblk -n -l -o NAME,SERIAL")).out).toBe(
    "xvda \nxvda1 \nxvdf \nxvdf1 \nxvdf2 \n",
  );
});
