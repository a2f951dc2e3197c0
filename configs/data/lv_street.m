function mpc = lv_street
%LV_STREET  A 0.4 kV street: a transformer of 0.25 MVA, 20/0.4 kV (vk 6 %, vkr 1.44 %), and 4 x 150 m of
%   a 150 mm2 aluminium cable (0.206 + j0.080 ohm/km, 270 A).
mpc.version = '2';
mpc.baseMVA = 0.25;

%% bus_i type Pd Qd Gs Bs area Vm Va baseKV zone Vmax Vmin
mpc.bus = [
    1 3 0 0 0 0 1 1 0 20 1 1.05 0.95;
    2 1 0 0 0 0 1 1 0 0.4 1 1.05 0.95;
    3 1 0 0 0 0 1 1 0 0.4 1 1.05 0.95;
    4 1 0 0 0 0 1 1 0 0.4 1 1.05 0.95;
    5 1 0 0 0 0 1 1 0 0.4 1 1.05 0.95;
    6 1 0 0 0 0 1 1 0 0.4 1 1.05 0.95;
];

%% bus Pg Qg Qmax Qmin Vg mBase status Pmax Pmin
mpc.gen = [
    1 0 0 1 -1 1 0.25 1 1 -1;
];

%% fbus tbus r x b rateA rateB rateC ratio angle status angmin angmax
mpc.branch = [
    1 2 0.0144 0.058246 0 0.25 0 0 1 0 1 -360 360;
    2 3 0.0482812 0.0187500 0 0.187061 0 0 0 0 1 -360 360;
    3 4 0.0482812 0.0187500 0 0.187061 0 0 0 0 1 -360 360;
    4 5 0.0482812 0.0187500 0 0.187061 0 0 0 0 1 -360 360;
    5 6 0.0482812 0.0187500 0 0.187061 0 0 0 0 1 -360 360;
];
