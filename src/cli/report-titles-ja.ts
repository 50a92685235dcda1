/** Titles of the product's own runbooks and steps in Japanese. A title that is not here is shown as the runbook has it. */
export const titlesInJapanese: { readonly [title: string]: string } = {
  // Runbooks.
  "Back up the standby node": "待機系ノードのバックアップ",
  "Back up the active node": "現用系ノードのバックアップ",
  "Back up both nodes at once": "両ノードの同時バックアップ",
  "Restore a recovery point onto both nodes": "リカバリポイントの両ノードへの復元",
  "Drill: restore a recovery point on the scratch node, check it, throw it away":
    "復元訓練：リカバリポイントを検証用ノードに復元し、検査して破棄する",

  // Checks.
  "No other run is at work on this cluster": "このクラスタで他の実行が動いていない",
  "The roles are clear: one active node, one standby": "役割が明確である（現用系 1、待機系 1）",
  "Every mirror is GREEN on both sides": "すべてのミラーが両側で GREEN である",
  "Each mirror has its monitor, and it is known where it runs":
    "各ミラーにモニタがあり、その動作ノードが分かっている",
  "Nothing runs on the standby": "待機系で何も動いていない",
  "A shutdown from within stops the standby's instance":
    "内部からのシャットダウンで待機系のインスタンスが停止状態になる",
  "A shutdown from within stops both instances, and nothing replaces them":
    "内部からのシャットダウンで両インスタンスが停止状態になり、置き換えられない",
  "Nothing replaces the standby's instance when it stops": "待機系のインスタンスが停止しても置き換えられない",
  "Whether a start of the standby is covered by a capacity reservation":
    "待機系の起動がキャパシティ予約で保証されているか",
  "The mirrors' volumes on the standby are found by device identity":
    "待機系のミラー用ボリュームをデバイスの識別情報で特定した",
  "The mirrors' volumes on both nodes are found by device identity":
    "両ノードのミラー用ボリュームをデバイスの識別情報で特定した",
  "The cloud grants what the run will ask for": "実行に必要な権限がクラウドにある",
  "The cloud grants what the restore will ask for": "復元に必要な権限がクラウドにある",
  "The scratch node is clean, and a member of no cluster": "検証用ノードは空で、どのクラスタにも属していない",
  "Each snapshot of the point has its place on the scratch node":
    "リカバリポイントの各スナップショットの接続先が検証用ノードにある",
  "The cloud grants what the drill will ask for": "訓練に必要な権限がクラウドにある",
  "What this drill can prove, and what not": "この訓練で証明できることとできないこと",
  "The drill has passed": "訓練に合格した",
  "There is room to keep the journal": "ジャーナルを保存する空きがある",
  "What a backup of both sides cannot be covered against": "両側のバックアップで備えられないこと",
  "What a restore cannot be covered against": "復元で備えられないこと",
  "The recovery point is there, and whole": "リカバリポイントが存在し、欠けがない",
  "Each mirror volume has its snapshot, and its place":
    "各ミラー用ボリュームに対応するスナップショットと接続先がある",
  "After the move the other node is the active one": "移動後、もう一方のノードが現用系になっている",

  // Service, redundancy and the tool's own marks.
  "Set the dead-man timer on the active node": "現用系にデッドマンタイマーを設定する",
  "Take the dead-man timer away": "デッドマンタイマーを解除する",
  "Mark both nodes as held by this run": "両ノードにこの実行の占有マーカーを置く",
  "Mark the nodes that came up": "起動したノードにマーカーを置く",
  "Take this run's marker off both nodes": "両ノードからこの実行のマーカーを外す",
  "Take this run's marker off the nodes that came up": "起動したノードからこの実行のマーカーを外す",
  "Stop the groups on the active node": "現用系でグループを停止する",
  "Stop the groups": "グループを停止する",
  "Start the groups on the active node": "現用系でグループを起動する",
  "Start the groups where their mirrors are GREEN": "ミラーが GREEN のノードでグループを起動する",
  "The groups run as a whole": "グループ全体が動作している",
  "The groups that ran run again": "動作していたグループが再び動作している",
  "With the groups stopped, every mirror is GREEN on both sides":
    "グループ停止中、すべてのミラーが両側で GREEN である",
  "Suspend the mirror monitors": "ミラーモニタを一時停止する",
  "Resume the mirror monitors": "ミラーモニタを再開する",
  "Break the mirror away on the standby, and prove it": "待機系でミラーを切り離し、切り離しを証明する",
  "Every mirror is in sync again": "すべてのミラーが再び同期している",
  "Every mirror is GREEN on both sides after the move": "移動後、すべてのミラーが両側で GREEN である",

  // Moving the groups.
  "Move the groups to the other node": "グループをもう一方のノードへ移動する",
  "The groups run as a whole on the other node": "もう一方のノードでグループ全体が動作している",
  "Move the groups back to where they were found": "グループを元の場所へ戻す",
  "Move the groups back to the node where they were found": "グループを元のノードへ戻す",
  "The groups run as a whole where they were found": "元のノードでグループ全体が動作している",

  // The cut.
  "Shut the standby down in backup mode": "待機系をバックアップモードでシャットダウンする",
  "Shut both nodes down in backup mode": "両ノードをバックアップモードでシャットダウンする",
  "Snapshot the standby's mirror volumes at one instant":
    "待機系のミラー用ボリュームのスナップショットを同一時点で取得する",
  "Snapshot the mirror volumes of both nodes": "両ノードのミラー用ボリュームのスナップショットを取得する",
  "Power the standby on": "待機系の電源を入れる",
  "Power both nodes on": "両ノードの電源を入れる",
  "Power the nodes on": "ノードの電源を入れる",
  "Take the standby out of backup mode; it reboots": "待機系のバックアップモードを解除する（再起動する）",
  "Take both nodes out of backup mode; they reboot": "両ノードのバックアップモードを解除する（再起動する）",
  "The standby is a member again": "待機系が再びクラスタに参加している",
  "Both nodes are members again": "両ノードが再びクラスタに参加している",
  "The snapshots are complete": "スナップショットが完了している",
  "Record the recovery point": "リカバリポイントを記録する",
  "Record the recovery points": "リカバリポイントを記録する（両ノード）",

  // The restore.
  "Make a volume from the snapshot for each place": "各接続先用のボリュームをスナップショットから作成する",
  "The new volumes are ready": "新しいボリュームの準備ができている",
  "Delete the volumes that this run made": "この実行で作成したボリュームを削除する",
  "Tag the old volumes with their place": "旧ボリュームに接続先のタグを付ける",
  "Take the tags off the old volumes": "旧ボリュームのタグを外す",
  "Both nodes are members, and every mirror is GREEN on both sides":
    "両ノードがクラスタに参加し、すべてのミラーが両側で GREEN である",
  "Detach the old volumes": "旧ボリュームを切断する",
  "Attach the old volumes again, in their places": "旧ボリュームを元の接続先に接続し直す",
  "Whether an old volume ends with its instance is as it was found":
    "旧ボリュームのインスタンス終了時の扱いが元のとおりである",
  "Attach the new volumes in the same places": "新しいボリュームを同じ接続先に接続する",
  "Detach the new volumes again": "新しいボリュームを切断する",
  "Whether a new volume ends with its instance is as it was for the old one":
    "新しいボリュームのインスタンス終了時の扱いが旧ボリュームと同じである",
  "Let the cluster software start at boot again": "クラスタソフトウェアの自動起動を有効に戻す",
  "Reboot the nodes into the cluster": "ノードを再起動してクラスタに参加させる",
  "Switch the initial full copy and the initial mkfs off": "初期構築のフルコピーと mkfs を無効にする",
  "Put the mirrors' settings back as they were found": "ミラーの設定を元に戻す",
  "Both sides hold the same snapshot, untouched": "両側が同じスナップショットを未変更のまま保持している",

  // Drills.
  "Make a volume from each snapshot, for the drill alone":
    "各スナップショットから訓練専用のボリュームを作成する",
  "The volumes are ready": "ボリュームの準備ができた",
  "Attach the volumes to the scratch node": "ボリュームを検証用ノードに接続する",
  "Give the restored volume groups names and ids of the drill's own, and activate them":
    "復元したボリュームグループに訓練専用の名前とIDを付け、有効にする",
  "Take the restored volume groups down, and out of the devices file":
    "復元したボリュームグループを無効にし、デバイスファイルから除く",
  "The restored partitions are found by their volumes, and their logs are judged":
    "復元したパーティションをボリュームから特定し、ログの状態を判定する",
  "Mount the restored file systems as they are, read-only and without their logs":
    "復元したファイルシステムを、ログを適用せず読み取り専用でマウントする",
  "Unmount them again": "アンマウントする",
  "Mount the restored file systems for use": "復元したファイルシステムを使用のためにマウントする",
  "Run the checks of the inventory": "インベントリの検査を実行する",
  "Unmount everything, and leave nothing of the drill on its node":
    "すべてアンマウントし、検証用ノードに何も残さない",
  "Detach the volumes from the scratch node": "ボリュームを検証用ノードから切断する",
  "Delete the volumes of the drill": "訓練のボリュームを削除する",
  "Write on the point's snapshots how the drill ended, unless nothing was proven":
    "訓練の結果をスナップショットに記録する（証明できなかった場合を除く）",

  // More of restores.
  "The nodes answer, with one configuration": "ノードが応答し、構成が一致している",
  "What the chosen warm-up takes": "選択したウォームアップに要する時間",
  "Switch fast restore on for the snapshots, where it is off":
    "無効になっているスナップショットの高速復元を有効にする",
  "Fast restore is ready": "高速復元の準備ができている",
  "The new volumes were made by fast restore": "新しいボリュームは高速復元で作成された",
  "Switch fast restore off again, where this run switched it on": "この実行で有効にした高速復元を無効に戻す",
  "The new volumes are filled": "新しいボリュームの初期化が完了している",
  "Read every block of the new volumes, with the service still out":
    "サービス停止中に新しいボリュームの全ブロックを読み出す",
  "End the reading of the new volumes": "新しいボリュームの読み出しを終わらせる",
  "The scratch node may read the new volumes: nobody holds it, and it is in their zone":
    "検証用ノードで新しいボリュームを読み出せる（他の実行に使われておらず、同じゾーンにある）",
  "The cloud grants what reading on the scratch node will ask for":
    "検証用ノードでの読み出しに必要な権限がクラウドにある",
  "Mark the scratch node as held by this run": "検証用ノードにこの実行が使用中であることを記録する",
  "Take this run's mark off the scratch node": "検証用ノードからこの実行の記録を消す",
  "Attach the new volumes to the scratch node": "新しいボリュームを検証用ノードに接続する",
  "Read every block of the new volumes on the scratch node":
    "検証用ノードで新しいボリュームの全ブロックを読み出す",
  "The scratch node has written nothing to the new volumes":
    "検証用ノードは新しいボリュームに何も書き込んでいない",
  "Detach the new volumes from the scratch node": "新しいボリュームを検証用ノードから切断する",
  "End the reading of the new volumes on the scratch node":
    "検証用ノードでの新しいボリュームの読み出しを終わらせる",
  "Nodes that were out of the cluster are so again": "クラスタ外にあったノードが再びクラスタ外にある",
  "Shut the nodes down for the restore": "復元のためノードをシャットダウンする",
  "Power on what was restored, out of the cluster": "クラスタに参加させずに復元したノードの電源を入れる",
  "Power off again what was powered on": "電源を入れたノードの電源を再び切る",
  "How the mirrors lie on LVM, where they do": "ミラーがLVM上にある場合、その構成",
  "Let LVM see the new volumes, where a devices file would hide them":
    "デバイスファイルで隠れる場合、新しいボリュームをLVMに認識させる",
  "Let LVM see what it saw before": "LVMの認識を元の状態に戻す",
  "The new volumes lie where the cluster expects its mirrors":
    "新しいボリュームがクラスタの期待するミラーの位置にある",
  "Start the mirrors on what was restored, as identical; the nodes reboot":
    "復元した内容でミラーを同一として開始する（ノードは再起動する）",
  "Had only one side been started: the other one joins by a full copy from it":
    "片側だけが開始された場合：もう一方はフルコピーで参加する",
  "What was restored stays, and a side that was left out joins by a full copy":
    "復元した内容を維持し、残った側はフルコピーで参加する",
  "Run the content checks of the inventory where the service runs":
    "業務が動作しているノードでインベントリの内容検査を実行する",
  "Leave nothing of the content checks on the nodes": "内容検査の痕跡をノードに残さない",
  "The content is what the inventory wants to find": "内容がインベントリの期待どおりである",

  // One side alone.
  "Restore a recovery point onto one node; the other joins by a full copy":
    "リカバリポイントの片ノードへの復元（もう一方はフルコピーで参加）",
  "The side that is not restored, and what lets it join": "復元しない側と、その参加の条件",
  "What it means that one side wins": "片側を正とすることの意味",
  "Make the restored side the one that counts": "復元した側を正とする",
  "The groups that ran run on the restored side": "動作していたグループが復元した側で動作している",
  "Power the other node on, out of the cluster": "クラスタに参加させずにもう一方のノードの電源を入れる",
  "The other node's volumes still lie where its mirrors expect them":
    "もう一方のノードのボリュームがミラーの期待する位置にある",
  "Start the mirrors on the other node for a full copy; it reboots into the cluster":
    "もう一方のノードでフルコピー用にミラーを開始する（再起動して参加する）",
  "The other side was copied over from the restored one, and both are in sync":
    "復元した側からもう一方へのコピーが完了し、両側が同期している",
  "The restored side serves alone, by choice": "選択により、復元した側だけで業務を継続している",

  // Confirmed, or taken back.
  "Confirm a restore: its old volumes may be pruned": "復元の確認：旧ボリュームは整理の対象になる",
  "The restore, with its volumes in their places and the old ones kept":
    "復元の状態：ボリュームは所定の位置にあり、旧ボリュームは保管されている",
  "Mark the old volumes as confirmed": "旧ボリュームに確認済みの印を付ける",
  "Take a restore back: the old volumes serve again": "復元の取り消し：旧ボリュームで業務を再開する",
  "The places of the volumes": "ボリュームの位置",
  "What comes back into each place": "各位置に戻すもの",
  "What leaves service when the restore is taken back": "復元の取り消しで業務から外れるもの",
  "Let the cluster software start again, and reboot the nodes into the cluster":
    "クラスタソフトウェアの起動を有効にし、ノードを再起動して参加させる",
  "What was put back stays in its place": "戻したボリュームはその位置に留まる",
  "Take the tags of old volumes off those that serve again":
    "再び業務に使うボリュームから旧ボリュームのタグを外す",

  // Nodes that are off.
  "Boot the nodes that are off, without their data volumes and outside of the cluster":
    "停止中のノードをデータボリュームなし・クラスタ外で起動する",
  "Which nodes are off": "停止中のノード",
  "Which volumes of the nodes that are off carry mirrors": "停止中のノードのミラー用ボリューム",
  "What booting without the data volumes cannot know": "データボリュームなしの起動では分からないこと",
  "Tag the data volumes with their place": "データボリュームに接続先のタグを付ける",
  "Take the tags off the data volumes": "データボリュームのタグを外す",
  "Detach the data volumes of the nodes that are off": "停止中のノードのデータボリュームを切断する",
  "Attach the data volumes again, in their places": "データボリュームを元の接続先に接続し直す",
  "Whether a data volume ends with its instance is as it was found":
    "データボリュームがインスタンスとともに削除されるかどうかは元のままである",
  "Power the nodes on, without their data volumes": "データボリュームなしでノードの電源を入れる",
  "Power the nodes off again": "ノードの電源を再び切る",
  "Keep their cluster software from starting": "クラスタソフトウェアが起動しないようにする",
  "Let the cluster software start at boot as before": "クラスタソフトウェアの自動起動を元に戻す",

  // Back to normal.
  "Bring the cluster back to normal": "クラスタを正常な状態に戻す",
  "Bring the mirrors back in sync": "ミラーを再同期する",
  "Both nodes are members, and one side of every mirror is proven good":
    "両ノードがクラスタに参加し、すべてのミラーで正しい側が証明されている",
  "No run is at work on this cluster; what a dead one left is taken over":
    "このクラスタで動いている実行はない（中断した実行の残したものは引き継ぐ）",
  "What is found, and what will be done": "現状と、これから行うこと",
  "Mark the nodes that answer as held by this run": "応答するノードにこの実行の占有マーカーを置く",
  "Take this run's marks off the nodes": "ノードからこの実行のマーカーを外す",
  "If no side proves good: keep the data of this node":
    "正しい側が証明できない場合：このノードのデータを残す",
  "Only by a person's own hand: power the node on": "人の手でのみ行う：ノードの電源を入れる",
  "Only by a person's own hand: take the node out of backup mode":
    "人の手でのみ行う：ノードのバックアップモードを解除する",
  "Only by a person's own hand: make the data of this node the data that counts":
    "人の手でのみ行う：このノードのデータを正とする",
  "Bring everything back to normal, and not less": "すべてを正常な状態に戻す",
  "The cluster's configuration is known, and the same on all nodes that answer":
    "クラスタの構成が分かっており、応答するすべてのノードで一致している",
  "Nodes that are on their way down are down": "停止途中のノードが停止している",
  "Start the groups at once where their mirrors are proven good":
    "ミラーが正しいと証明されたノードでグループをただちに起動する",
  "Resume the monitors": "モニタを再開する",
  "Power off what is up without its volumes": "ボリュームなしで起動しているノードの電源を切る",
  "Put the volumes that were taken out back into their places": "取り外されたボリュームを元の位置に戻す",
  "What is off may be powered on": "停止中のノードの電源を入れてよい",
  "Power on what is off, and wait until every node answers":
    "停止中のノードの電源を入れ、すべてのノードの応答を待つ",
  "Mark the nodes that came up as held by this run": "起動したノードにこの実行の占有マーカーを置く",
  "Take away the dead-man timers of dead runs": "中断した実行の保護タイマーを取り除く",
  "Take a half prepared node out of the cluster, and boot it":
    "準備途中のノードをクラスタから外して再起動する",
  "What is outside of the cluster may come in, and its devices are proven":
    "クラスタ外のノードは参加してよく、デバイスが証明されている",
  "Take the nodes out of backup mode; they reboot into the cluster":
    "ノードのバックアップモードを解除する（再起動して参加する）",
  "Every node is a member again": "すべてのノードが再びクラスタに参加している",
  "It is proven for every mirror which side counts": "すべてのミラーで正しい側が証明されている",
  "Start the groups that could not be started before": "起動できなかったグループを起動する",
  "The mirrors' initial full copy is as the person wants it":
    "ミラーの初期フルコピーの設定が指定どおりである",
  "The cluster is normal": "クラスタは正常である",
  "Where no node answers: put the volumes that were taken out back into their places":
    "どのノードも応答しない場合：取り外されたボリュームを元の位置に戻す",
  "Where no node answers: both may be powered on": "どのノードも応答しない場合：両ノードの電源を入れてよい",
  "At least one node answers": "少なくとも 1 ノードが応答する",

  // Retention.
  "Prune the recovery points": "リカバリポイントの整理",
  "No other run on this cluster is open": "このクラスタに未完了の実行がほかにない",
  "Which recovery points stay, and which go": "残すリカバリポイントと削除するリカバリポイント",
  "The cloud grants what the prune will ask for": "整理に必要な権限がクラウドにある",
  "Mark the recovery points that go": "削除するリカバリポイントに印を付ける",
  "Take the mark off what stays": "残すものから印を外す",
  "Delete the recovery points that go, oldest first": "対象のリカバリポイントを古い順に削除する",
  "Which old volumes of restores stay, and which go": "復元の旧ボリュームのうち、残すものと削除するもの",
  "Take a final snapshot of each confirmed old volume":
    "確認済みの旧ボリュームの最終スナップショットを取得する",
  "Delete the old volumes that are kept in a final snapshot":
    "最終スナップショットのある旧ボリュームを削除する",

  // Names of partitions.
  "What the cluster will call the partitions of the restored volumes":
    "復元したボリュームのパーティションをクラスタがどの名前で参照するか",
  "What the cluster will call the partitions of the old volumes":
    "元のボリュームのパーティションをクラスタがどの名前で参照するか",
  "Have the cluster look for the restored partitions under the names that they brought along":
    "復元したパーティションの名前をクラスタの構成に設定する",
  "The same names on the other node": "もう一方のノードにも同じ名前を設定する",
  "Have the cluster look for its partitions under their former names":
    "パーティションの名前をクラスタの構成で元に戻す",

  // Drills on a staging cluster.
  "Drill: restore a recovery point on the staging cluster, check it, put staging back":
    "復元訓練：リカバリポイントを検証用クラスタに復元し、検査して元に戻す",
  "Nothing of the staging cluster is production's": "検証用クラスタに本番と共通するものがない",
  "What may be started on staging": "検証用クラスタで起動してよいもの",
  "No devices file of LVM hides the drill's volumes":
    "LVM のデバイスファイルによって訓練用ボリュームが隠されない",
  "The staging cluster is whole": "検証用クラスタが正常である",
  "What staging will call the partitions of production's volumes":
    "本番のパーティションを検証用クラスタがどの名前で参照するか",
  "From here on staging may serve what was restored": "ここから検証用クラスタで復元内容が動作し得る",
  "The groups run on staging, from the restored volumes":
    "検証用クラスタで復元したボリュームからグループが動作している",
  "The content was looked at": "内容を検査した",
  "Stop the groups on staging": "検証用クラスタのグループを停止する",
  "Shut staging's nodes down, out of the cluster": "検証用クラスタのノードをクラスタから外して停止する",
  "Staging's own mirrors are GREEN on both sides again": "検証用クラスタ自身のミラーが両側で GREEN に戻った",
};
