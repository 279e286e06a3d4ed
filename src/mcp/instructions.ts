/** What every client is told when it connects. */
export const INSTRUCTIONS = `Mycelium gives you isolated workspaces: places with files and commands of their own.

- workspace_create makes one; exec runs a command line in it; file_* reads and changes its files.
- Paths and commands begin in its repository folder (workspace_info says where that is).
- To do the same work many times: workspace_prepare makes a golden by set-up commands and finds it
  again for the same inputs; workspace_fork makes up to 20 copies; exec_parallel runs in all of them.
- What takes long (prepare, fork, swarm_run) takes detached: true; then poll operation_wait.
- What you make is yours: other sessions cannot touch it, and it stays when you go.
  workspace_adopt takes over what an ended session left.
- A refusal says what to do next. What one kind of workspace cannot do, it says which kind can.`;
