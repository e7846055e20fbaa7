#!/usr/bin/env escript
%%! +P 1000000 -kernel logger_level none
%% One work with OTP's own supervisor: prints what one thing cost (nanoseconds,
%% or bytes) and how many were done; "-" for a work that is not its own.
-mode(compile).
-export([init/1, leaf/2, fresh/2]).

main([Work | Sizes]) ->
    [Children, Few, Restarts, Fewer, Crashers, Each, Pairs, Depth] = [list_to_integer(S) || S <- Sizes],
    case measure(Work, #{children => Children, few => Few, restarts => Restarts, fewer => Fewer, crashers => Crashers,
                         each => Each, pairs => Pairs, depth => Depth}) of
        none -> io:format("-~n");
        {Cost, Did} -> io:format("~.3f ~w~n", [float(Cost), Did])
    end.

measure("start", #{children := N}) ->
    {Took, Sup} = timed(fun() -> start(idlers(N)) end),
    {Took / N, active(Sup)};
measure("stop", #{children := N}) ->
    Sup = start(idlers(N)),
    Active = active(Sup),
    {Took, _} = timed(fun() -> stop(Sup) end),
    {Took / N, Active};
measure("add one by one", #{children := N}) ->
    Sup = start([]),
    {Took, _} = timed(fun() -> [{ok, _} = supervisor:start_child(Sup, S) || S <- idlers(N)] end),
    {Took / N, active(Sup)};
measure("restart, p50", #{few := Few, restarts := Times}) ->
    Took = rested(Few, Times),
    {lists:nth(Times div 2 + 1, lists:sort(Took)), length(Took)};
measure("restart in a large tree" ++ _, #{children := N, fewer := Times}) ->
    Small = beside(10, Times),
    Large = beside(N, Times),
    {lists:sum(Large) / lists:sum(Small), length(Large)};
measure("throughput of restarts", #{crashers := N, each := Times}) -> failing(N, Times, exit);
measure("panics", #{crashers := N, each := Times}) -> failing(N, Times, error);
measure("storm", #{children := N}) when N > 10000 -> none; % minutes: see init
measure("storm", #{children := N}) -> failing(N, 1, exit);
measure("nested start", #{depth := Depth}) ->
    {Took, _} = timed(fun() -> nest(Depth) end),
    {Took / leaves(Depth), leaves(Depth)};
measure("nested stop", #{depth := Depth}) ->
    {ok, Sup} = nest(Depth),
    {Took, _} = timed(fun() -> stop(Sup) end),
    {Took / leaves(Depth), leaves(Depth)};
measure("pairs of add and remove, " ++ By, #{pairs := Pairs}) ->
    Callers = list_to_integer(hd(string:split(By, " "))),
    pairs(Callers, Pairs);
measure("memory", #{children := N}) ->
    garbage_collect(),
    Before = erlang:memory(total),
    Sup = start(idlers(N)),
    garbage_collect(),
    {(erlang:memory(total) - Before) / N, active(Sup)};
measure(_, _) -> none.

%% The supervisor remembers its restarts for a period of one second at least,
%% and looks through them at each: that is most of what many of them cost it.
init(Specs) -> {ok, {#{strategy => one_for_one, intensity => 1000000000, period => 1}, Specs}}.

start(Specs) -> {ok, Sup} = supervisor:start_link(?MODULE, Specs), Sup.

stop(Sup) ->
    unlink(Sup),
    Ref = monitor(process, Sup),
    exit(Sup, shutdown),
    receive {'DOWN', Ref, _, _, _} -> ok end.

active(Sup) -> proplists:get_value(active, supervisor:count_children(Sup)).

spec(Id, Start) -> #{id => Id, start => Start, shutdown => 60000}.

idlers(N) -> [spec(I, {?MODULE, leaf, [none, I]}) || I <- lists:seq(1, N)].

nest(Depth) -> supervisor:start_link(?MODULE, below(Depth)).

below(0) -> idlers(10);
below(Depth) ->
    [#{id => I, type => supervisor, start => {supervisor, start_link, [?MODULE, below(Depth - 1)]}} || I <- lists:seq(1, 10)].

leaves(Depth) -> round(math:pow(10, Depth + 1)).

%% A leaf tells Observer, if there is one, that it runs, and fails when told to.
leaf(Observer, Id) -> proc_lib:start_link(?MODULE, fresh, [Observer, Id]).

fresh(Observer, Id) ->
    proc_lib:init_ack({ok, self()}),
    is_pid(Observer) andalso (Observer ! {runs, Id, self(), now_ns()}),
    receive exit -> exit(failed); error -> error(failed) end.

%% As beside, with a new supervisor every 100 times, which has few restarts to
%% look through: as one that seldom restarts anything.
rested(_, 0) -> [];
rested(Siblings, Times) ->
    Now = min(100, Times),
    beside(Siblings, Now) ++ rested(Siblings, Times - Now).

%% Restart latencies of one child, back to back, beside idle siblings.
beside(Siblings, Times) ->
    Sup = start(idlers(Siblings) ++ [spec(one, {?MODULE, leaf, [self(), one]})]),
    Took = again(Times),
    stop(Sup),
    Took.

again(Times) ->
    receive {runs, one, First, _} -> again(First, Times, []) end.

again(_, 0, Took) -> Took;
again(Pid, Times, Took) ->
    Failed = now_ns(),
    Pid ! exit,
    receive {runs, one, Next, Ran} -> again(Next, Times - 1, [Ran - Failed | Took]) end.

%% N children fail side by side, each so many times.
failing(N, Times, How) ->
    Sup = start([spec(I, {?MODULE, leaf, [self(), I]}) || I <- lists:seq(1, N)]),
    Pids = [receive {runs, I, Pid, _} -> Pid end || I <- lists:seq(1, N)],
    {Took, _} = timed(fun() ->
        [Pid ! How || Pid <- Pids],
        failed(N * Times, maps:from_list([{I, Times - 1} || I <- lists:seq(1, N)]), How)
    end),
    N = active(Sup),
    {Took / (N * Times), N * Times}.

failed(0, _, _) -> ok;
failed(Left, Each, How) ->
    receive
        {runs, Id, Pid, _} ->
            #{Id := More} = Each,
            More > 0 andalso (Pid ! How),
            failed(Left - 1, Each#{Id := More - 1}, How)
    end.

pairs(Callers, Pairs) ->
    Sup = start([]),
    {Took, _} = timed(fun() ->
        All = [spawn_monitor(fun() -> pair(Sup, C, Pairs div Callers) end) || C <- lists:seq(1, Callers)],
        [receive {'DOWN', Ref, _, _, normal} -> ok end || {_, Ref} <- All]
    end),
    0 = active(Sup),
    {Took / Pairs, Pairs}.

pair(_, _, 0) -> ok;
pair(Sup, Caller, Left) ->
    Id = {Caller, Left},
    {ok, _} = supervisor:start_child(Sup, spec(Id, {?MODULE, leaf, [none, Id]})),
    ok = supervisor:terminate_child(Sup, Id),
    ok = supervisor:delete_child(Sup, Id),
    pair(Sup, Caller, Left - 1).

now_ns() -> erlang:monotonic_time(nanosecond).

timed(F) ->
    Began = now_ns(),
    Result = F(),
    {now_ns() - Began, Result}.
