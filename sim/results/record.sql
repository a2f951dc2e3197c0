-- Tables of a record. Units are in the names of the columns; powers are injections into the grid, unless said otherwise.
-- A kind of device has a table of its own besides, of the columns that its class names.

CREATE TABLE bus (
    step BIGINT, -- number of the step
    time VARCHAR,       -- when the step begins, by the run's clock, as ISO 8601; likewise in all tables
    network VARCHAR, -- name of the network
    bus VARCHAR, -- name of the bus
    p_load_mw DOUBLE,   -- drawn by customers
    q_load_mvar DOUBLE, -- likewise
    p_gen_mw DOUBLE,    -- given by the network's own sources and, if not curtailed, by devices with a profile; less what loads with one draw
    p_own_mw DOUBLE,    -- of that, given by the network's own sources
    p_mw DOUBLE,        -- injection of loads, sources and devices together
    q_mvar DOUBLE,      -- likewise
    v_pu DOUBLE,        -- voltage in AC, NaN where the power flow diverged
    va_deg DOUBLE,      -- its angle
    v_plan_pu DOUBLE    -- voltage that the plan predicted, NaN without a prediction
);

CREATE TABLE line (
    step BIGINT, -- number of the step
    time VARCHAR, -- when the step begins, by the clock of the run, as ISO 8601
    network VARCHAR, -- name of the network
    line VARCHAR, -- name of the branch
    p_mw DOUBLE,            -- flow into the line at its end nearer to the slack bus
    q_mvar DOUBLE,          -- likewise
    i_ka DOUBLE,            -- current at the more loaded end
    loading_percent DOUBLE, -- of the rating, 0 where none is known
    losses_mw DOUBLE, -- losses
    p_plan_mw DOUBLE        -- flow that the plan predicted
);

CREATE TABLE network (
    step BIGINT, -- number of the step
    time VARCHAR, -- when the step begins, by the clock of the run, as ISO 8601
    network VARCHAR, -- name of the network
    converged BOOLEAN,        -- whether the AC power flow has a solution
    import_mw DOUBLE,         -- drawn from the grid above
    import_mvar DOUBLE,       -- likewise
    losses_mw DOUBLE, -- losses
    balance_error_rel DOUBLE, -- mismatch of the injections, relative to the power flowing
    import_plan_mw DOUBLE,    -- import that the plan predicted
    losses_plan_mw DOUBLE     -- losses that the plan predicted
);

-- ports that a plan sets, or whose Q follows the voltage; columns of stores and trucks are NULL for other devices
CREATE TABLE device (
    step BIGINT, -- number of the step
    time VARCHAR, -- when the step begins, by the clock of the run, as ISO 8601
    device VARCHAR,            -- name of the port
    kind VARCHAR, -- kind of the device
    p_set_mw DOUBLE,           -- requested; NULL where nothing is, as of a limit at rest
    q_set_mvar DOUBLE,         -- likewise
    p_mw DOUBLE,               -- delivered
    q_mvar DOUBLE,             -- delivered
    energy_start_mwh DOUBLE,   -- stored at the start of the step
    energy_mwh DOUBLE,         -- stored at its end
    energy_plan_mwh DOUBLE,    -- stored at its end, as the plan predicted
    soc DOUBLE,                -- energy at its end, of the rated energy
    availability DOUBLE,       -- share of the rating in service
    usable_energy_share DOUBLE, -- share of the rated energy that can be used
    charged_mwh DOUBLE,        -- drawn from the grid
    discharged_mwh DOUBLE,     -- given to the grid
    loss_mwh DOUBLE,           -- lost behind the port
    shortfall_mwh DOUBLE,      -- requested and not delivered
    cycles_today DOUBLE, -- equivalent full cycles since midnight
    destination VARCHAR,       -- where it is parked or driving to after the step
    station VARCHAR,           -- where it was connected
    phase VARCHAR,             -- what it was doing at the start of the step
    transit_steps BIGINT,      -- steps until it is parked, after the step
    trips_today BIGINT, -- trips begun since midnight
    departed BOOLEAN,          -- whether it began a trip
    km DOUBLE,                 -- length of the trip begun
    truck_cost DOUBLE,         -- fuel and labour
    wear_cost DOUBLE,          -- of the energy charged
    clipped VARCHAR            -- limits that kept it from what was requested
);

-- row 0 of the plan, as plan.csv has it
CREATE TABLE plan (
    step BIGINT, -- number of the step
    time VARCHAR, -- when the step begins, by the clock of the run, as ISO 8601
    device VARCHAR, -- name of the port
    p_mw DOUBLE, -- injection
    q_mvar DOUBLE, -- injection
    station VARCHAR -- position that is to be reached
);

CREATE TABLE step (
    step BIGINT, -- number of the step
    time VARCHAR,              -- when it begins
    buy_price DOUBLE, -- price of import
    sell_price DOUBLE, -- price that customers pay
    congestion DOUBLE,         -- mean of all roads
    res_cost DOUBLE,           -- of the feed-in of generators
    plan_cost DOUBLE,          -- cost that the plan predicted
    solver_status VARCHAR, -- what is known of the plan
    solver_termination VARCHAR, -- why the solver ended
    solver_notes VARCHAR,      -- as JSON
    solver_ended VARCHAR,      -- why it ended, in words
    objective DOUBLE, -- what was minimised, of the plan
    bound DOUBLE, -- proved bound of it
    gap DOUBLE,                -- relative
    gap_abs DOUBLE,            -- objective less bound
    saving DOUBLE,             -- of the plan against rest
    gap_of_saving DOUBLE,      -- gap_abs as a share of it
    cone_gap DOUBLE,           -- relaxation gap [pu²]
    v_plan_ac_max_pu DOUBLE,   -- largest error of a predicted voltage
    v_plan_ac_rms_pu DOUBLE, -- RMS error of predicted voltages
    solver_seconds DOUBLE, -- time in the solver
    decision_seconds DOUBLE, -- time that the controller took
    fallback VARCHAR,          -- what was dispatched instead of the controller's plan
    failure VARCHAR,           -- why
    ac_corrections BIGINT,     -- corrected plans requested
    ac_excess_pu DOUBLE,       -- limits that the dispatched plan breaks in AC on the forecast, NaN where not checked
    ac_excess_percent DOUBLE -- likewise
);

CREATE TABLE cost (
    step BIGINT, -- number of the step
    time VARCHAR, -- when the step begins, by the clock of the run, as ISO 8601
    term VARCHAR, -- name of the cost term
    cost DOUBLE, -- realised cost
    plan_cost DOUBLE -- as the plan predicted
);

CREATE TABLE position (
    step BIGINT, -- number of the step
    time VARCHAR, -- when the step begins, by the clock of the run, as ISO 8601
    device VARCHAR, -- name of the device
    kind VARCHAR, -- kind of the device
    position VARCHAR, -- name of the position
    label VARCHAR,   -- its value, or the one that it is on the way to
    phase VARCHAR    -- parked, in_transit; NULL for a position without routes
);

-- constant data

CREATE TABLE bus_info (
    network VARCHAR, -- name of the network
    bus VARCHAR, -- name of the bus
    v_min_pu DOUBLE, -- lowest voltage allowed
    v_max_pu DOUBLE, -- highest voltage allowed
    x DOUBLE, -- coordinate to the east, for drawing; NULL where the network has none
    y DOUBLE -- coordinate to the north
);

CREATE TABLE network_info (
    network VARCHAR, -- name of the network
    import_max_mw DOUBLE,   -- limit, infinite where there is none
    export_max_mw DOUBLE,   -- likewise
    exchange_unit_mw DOUBLE -- what tolerances are relative to
);

CREATE TABLE line_info (
    network VARCHAR, -- name of the network
    line VARCHAR, -- name of the branch
    from_bus VARCHAR, -- end nearer to the slack bus
    to_bus VARCHAR, -- other end
    i_max_ka DOUBLE,            -- infinite where no rating is known
    loading_max_percent DOUBLE -- limit of the loading
);

CREATE TABLE kind_info (
    kind VARCHAR, -- kind of the device
    "table" VARCHAR, -- its table
    version BIGINT, -- of its columns and states
    stores BOOLEAN -- whether it stores energy
);

CREATE TABLE column_info (
    "table" VARCHAR, -- its table
    "column" VARCHAR, -- name of the column
    unit VARCHAR, -- its unit
    meaning VARCHAR, -- what it is
    total VARCHAR,  -- how it is summed up over steps
    money BOOLEAN, -- whether it is an amount of money
    cost BOOLEAN    -- whether it is a cost term
);

CREATE TABLE device_info (
    device VARCHAR,     -- name of the port
    kind VARCHAR, -- kind of the device
    belongs_to VARCHAR, -- name of the device
    s_max_mva DOUBLE, -- rating
    energy_mwh DOUBLE,  -- rated
    soc_min DOUBLE, -- lowest state of charge allowed
    soc_max DOUBLE -- highest state of charge allowed
);

CREATE TABLE port_info (
    device VARCHAR,     -- name of the port
    kind VARCHAR, -- kind of the device
    belongs_to VARCHAR, -- name of the device
    network VARCHAR,    -- where it is; NULL for what moves between stations
    bus VARCHAR,        -- likewise
    p_min_mw DOUBLE, -- lowest injection
    p_max_mw DOUBLE, -- highest injection
    s_max_mva DOUBLE -- rating
);

CREATE TABLE station_info (
    station VARCHAR, -- name of the station
    network VARCHAR, -- name of the network
    bus VARCHAR, -- name of the bus
    places BIGINT,      -- NULL where there is one for all
    p_max_mw DOUBLE     -- infinite where there is no limit
);
