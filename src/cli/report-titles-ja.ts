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
  "Both nodes answer, with one configuration": "両ノードが応答し、構成が一致している",
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
  "Shut both nodes down for the restore": "復元のため両ノードをシャットダウンする",
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
  "Power both nodes on, out of the cluster": "クラスタに参加させずに両ノードの電源を入れる",
  "Power both nodes off again": "両ノードの電源を再び切る",
  "Let the cluster software start at boot again": "クラスタソフトウェアの自動起動を有効に戻す",
  "Reboot the nodes into the cluster": "ノードを再起動してクラスタに参加させる",
  "Switch the initial full copy and the initial mkfs off": "初期構築のフルコピーと mkfs を無効にする",
  "Put the mirrors' settings back as they were found": "ミラーの設定を元に戻す",
  "On both nodes the new volumes lie where the cluster expects its mirrors":
    "両ノードで、新しいボリュームがクラスタの想定するミラーの位置にある",
  "Both sides hold the same snapshot, untouched": "両側が同じスナップショットを未変更のまま保持している",
  "Start the mirrors on both nodes as identical; the nodes reboot":
    "両ノードのミラーを同一内容として起動する（ノードは再起動する）",
  "Join the other side by a full copy from the one that was started":
    "起動済みの側からのフルコピーで、もう一方の側を参加させる",

  // Drills.
  "Make a volume from each snapshot, for the drill alone":
    "各スナップショットから訓練専用のボリュームを作成する",
  "The volumes are ready": "ボリュームの準備ができた",
  "Attach the volumes to the scratch node": "ボリュームを検証用ノードに接続する",
  "The restored partitions are found by their volumes, and their logs are judged":
    "復元したパーティションをボリュームから特定し、ログの状態を判定する",
  "Mount the restored file systems as they are, read-only and without their logs":
    "復元したファイルシステムを、ログを適用せず読み取り専用でマウントする",
  "Unmount them again": "アンマウントする",
  "Mount the restored file systems for use": "復元したファイルシステムを使用のためにマウントする",
  "Run the checks of the inventory": "インベントリの検査を実行する",
  "Unmount everything, and leave nothing on the scratch node":
    "すべてアンマウントし、検証用ノードに何も残さない",
  "Detach the volumes from the scratch node": "ボリュームを検証用ノードから切断する",
  "Delete the volumes of the drill": "訓練のボリュームを削除する",
  "Write on the point's snapshots how the drill ended, unless nothing was proven":
    "訓練の結果をスナップショットに記録する（証明できなかった場合を除く）",
};
