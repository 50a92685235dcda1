import { buildLab } from "../../src/lab/build.ts";
import { VirtualClock } from "../../src/lab/clock.ts";
import { shellSuite } from "../conformance/shell.ts";

shellSuite(
  "the lab's own shell",
  () => {
    const clock = new VirtualClock();
    const lab = buildLab({ clock, nodeTimes: { keepaliveMs: 50 } });
    lab.killPower("stage1");
    const node = lab.node("server1");
    return Promise.resolve({
      shell: lab.shell,
      node: "server1",
      otherNode: "server2",
      deadNode: "stage1",
      clock,
      real: false,
      privileged: true,
      cut: async () => {
        lab.cutOperator(node.name);
        await clock.sleep(60);
        lab.mendOperator(node.name);
      },
      close: async () => {
        await lab.shell.close();
        lab.close();
      },
    });
  },
  { real: false },
);
